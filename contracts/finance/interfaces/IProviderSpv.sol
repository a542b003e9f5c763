// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order} from "../../interfaces/IComputeMarket.sol";

/// @notice What a company asks of whoever it is pledged to.
/// @dev Asked by a static call from inside the market's question whether a receipt is signed (P-25): it must answer within some 40,000 gas, and also while
/// the creditor itself is in the middle of `pledge`, `pay` or `release`. A creditor that fails to answer is owed everything: the floor is then the clock's.
interface ICreditor {
    /// @notice What is owed on a lease that is pledged to this contract.
    /// @param lease the id of the order that it serves
    /// @param openedAt which serving of it
    /// @return owed token base units, interest up to now included, rounded up; 0 where nothing is
    /// @return reserve token base units that the creditor holds back of what it lent
    /// @return opexBps share of income that goes to the owner before the creditor, in basis points
    function debtOn(bytes32 lease, uint40 openedAt)
        external
        view
        returns (uint256 owed, uint256 reserve, uint16 opexBps);
}

/// @title Provider SPV
/// @notice A provider that is code: a ring-fenced company that lists, bonds, signs and claims, and that cannot give its income away once it is pledged.
/// @dev Provider and payee at once. It never calls `assign`, `authorize` or `deposit`, and is never a client. `owner` is a cold key or a contract, fixed for
/// good; `operator` a hot key on the agent's machine. Rules are numbered S-1 to S-7 as in the specification.
interface IProviderSpv {
    // ------------------------------------------------------------------------------------------------------------------------------------ events

    /// @notice Another key acts for the company.
    /// @param operator who lists, signs and claims from now on
    /// @param by who said so: the owner or, of the first one, whoever made the company. One that its owner never named an operator of is not yet its owner's
    event OperatorSet(address indexed operator, address indexed by);

    /// @notice The owner lets this vault, and no other, take the company's income in pledge.
    /// @param vault who may; 0: nobody
    event VaultAllowed(address indexed vault);

    /// @notice The income of a lease, and all that is free in the market, is pledged; every offer has expired.
    /// @param vault to whom
    /// @param lease the id of the order that it serves
    /// @param openedAt which serving of it
    event Pledged(address indexed vault, bytes32 indexed lease, uint40 openedAt);

    /// @notice The pledge ended.
    /// @param vault whose it was
    /// @param lease the id of the order that it serves
    event Released(address indexed vault, bytes32 indexed lease);

    /// @notice The creditor took what was free in the market.
    /// @param vault who was paid
    /// @param amount token base units
    event Paid(address indexed vault, uint256 amount);

    /// @notice The pledged lease was claimed in full, because its metering was over and nobody had.
    /// @param lease the id of the order that it serves
    /// @param by who did it
    event ClaimedDue(bytes32 indexed lease, address indexed by);

    // ------------------------------------------------------------------------------------------------------------------------------------ errors

    /// @notice Only the owner may do this.
    /// @param caller who called
    /// @param owner who may
    error NotOwner(address caller, address owner);

    /// @notice Only the operator may do this.
    /// @param caller who called
    /// @param operator who may
    error NotOperator(address caller, address operator);

    /// @notice Only the creditor may do this.
    /// @param caller who called
    /// @param creditor who may; 0: nobody, as nothing is pledged
    error NotCreditor(address caller, address creditor);

    /// @notice Only the factory starts a company, once.
    /// @param caller who called
    /// @param factory who may
    error NotFactory(address caller, address factory);

    /// @notice The owner did not allow this vault.
    /// @param caller who called
    /// @param allowed who may; 0: nobody
    error NotAllowed(address caller, address allowed);

    /// @notice While its income is pledged the company does not do this.
    /// @param creditor to whom it is pledged
    error IsPledged(address creditor);

    /// @notice This order is not the pledged one.
    /// @param lease the order's id
    /// @param pledged the id of the pledged one; 0: nothing is pledged
    error NotPledged(bytes32 lease, bytes32 pledged);

    /// @notice The order is not the one that the lease serves, or not in this serving, or the lease is not open, or not of this company.
    /// @param lease the id that was named
    /// @param openedAt the serving that was named
    error NotServed(bytes32 lease, uint40 openedAt);

    /// @notice So few seconds would leave the creditor with less than it is owed (S-3).
    /// @param attempted seconds that were claimed
    /// @param least the fewest that may be
    error BelowFloor(uint32 attempted, uint32 least);

    /// @notice The lease is still metered: its operator may yet claim it.
    /// @param attempted block time, Unix seconds
    /// @param from the first second at which anybody may, Unix time
    error MeteringNotOver(uint256 attempted, uint256 from);

    /// @notice A company lists so many offers in its life: all of them expire in one call when it is pledged.
    /// @param allowed the most
    error TooManyOffers(uint256 allowed);

    /// @notice The company would pay for this order: it is never a client.
    error IsNoClient();

    // ----------------------------------------------------------------------------------------------------------------------------------- company

    /// @notice Names the first operator. The factory, in the call that makes the company.
    /// @param firstOperator who lists, signs and claims
    /// @param by who asked for the company
    function start(address firstOperator, address by) external;

    /// @notice Lists an offer, as in the market. Operator; not while pledged (S-1); at most 8 in a company's life.
    /// @param class the GPUs' class, as the catalogue numbers them
    /// @param gpus how many, at least 1
    /// @param bondBps share of T that it puts at stake, in basis points
    /// @param price token base units per GPU-hour
    /// @param minSeconds the least that an order must guarantee
    /// @param expiresAt the first second at which no lease may be opened on it
    /// @param arbiter who rules on disputes
    /// @param spec sha256 of the machine description's canonical JSON
    /// @return offer its id
    function list(
        uint8 class,
        uint16 gpus,
        uint16 bondBps,
        uint80 price,
        uint16 minSeconds,
        uint40 expiresAt,
        address arbiter,
        bytes32 spec
    ) external returns (uint40 offer);

    /// @notice Changes an offer's price and expiry, as in the market. Operator; not while pledged (S-1).
    /// @param offer its id
    /// @param price token base units per GPU-hour
    /// @param expiresAt the first second at which no lease may be opened on it
    function reprice(uint40 offer, uint80 price, uint40 expiresAt) external;

    /// @notice Opens leases, as in the market; term leases too, since the company itself is the caller (P-21). Owner or operator; not while pledged (S-1).
    /// @dev No order of which the company is the client: the market would take the call for its consent, and the operator could spend the owner's money.
    /// @param fills what to open
    /// @param round hash of the published round that they came from, or 0
    function open(Fill[] calldata fills, bytes32 round) external;

    /// @notice Claims seconds of a lease, as in the market. Operator; of the pledged lease not below the floor (S-3).
    /// @param order the whole order, as it was signed
    /// @param usedSeconds seconds that were used, in all
    /// @param result sha256 of the job's result record
    function claim(Order calldata order, uint32 usedSeconds, bytes32 result) external;

    /// @notice Claims all of the pledged lease once its metering is over and before the market's deadline: the operator's silence is not the client's
    /// refund. Anyone (S-4).
    /// @param order the whole order, as it was signed
    function claimDue(Order calldata order) external;

    /// @notice Declines a lease, as in the market. Operator; not the pledged one.
    /// @param order the whole order, as it was signed
    function decline(Order calldata order) external;

    /// @notice Pays out of the free market balance to the owner. Owner; not while pledged.
    /// @param amount token base units
    function withdraw(uint256 amount) external;

    /// @notice Names another operator. Owner; at any time. Receipts that the earlier one signed and nobody settled are void.
    /// @param key who lists, signs and claims from now on; 0: nobody
    function setOperator(address key) external;

    /// @notice Lets a vault take the income in pledge, instead of the one that was allowed before. Owner.
    /// @param vault who may; 0: nobody
    function allow(address vault) external;

    /// @notice Whether the company signed a receipt (EIP-1271, S-2). It signs what it can read only: the signature carries the receipt.
    /// @dev Valid iff `blob = abi.encode(Receipt, bytes operatorSignature)` in the very form of the ABI, 352 bytes, the receipt's digest is `digest`, the
    /// operator's key signed that, and a last receipt of the pledged lease is not below the floor (S-3).
    /// @param digest what the market asks about
    /// @param blob the receipt and the operator's signature
    /// @return the selector of this function if it is valid, else 0xffffffff
    function isValidSignature(bytes32 digest, bytes calldata blob) external view returns (bytes4);

    // ------------------------------------------------------------------------------------------------------------------------------------- pledge

    /// @notice Takes the company's income in pledge for one open lease of it. The vault that the owner allowed; not while pledged. All offers expire now.
    /// @dev What else the lender needs is its own to check: who the client is, and that the lease can no longer be declined.
    /// @param lease the id of the order that it serves
    /// @param openedAt which serving of it
    /// @param order the whole order, as it was signed
    function pledge(bytes32 lease, uint40 openedAt, Order calldata order) external;

    /// @notice Pays out of the free market balance to the creditor. Creditor.
    /// @param amount token base units
    function pay(uint256 amount) external;

    /// @notice Ends the pledge. Creditor.
    function release() external;

    // -------------------------------------------------------------------------------------------------------------------------------------- views

    /// @notice Whose company it is, for good.
    /// @return a cold key or a contract
    function owner() external view returns (address);

    /// @notice Which key acts for it; off the chain, too (S-5b).
    /// @return a hot key
    function operator() external view returns (address);

    /// @notice Which vault may take its income in pledge.
    /// @return 0: none
    function allowed() external view returns (address);

    /// @notice To whom its income is pledged.
    /// @return 0: to nobody
    function creditor() external view returns (address);

    /// @notice Which lease is pledged.
    /// @return lease the id of the order that it serves; 0: none
    /// @return openedAt which serving of it
    function pledged() external view returns (bytes32 lease, uint40 openedAt);

    /// @notice Who called `claimDue` for the pledged lease, and is due a tip for it.
    /// @return 0: nobody
    function claimedDueBy() external view returns (address);

    /// @notice The fewest seconds that may now be signed last, or claimed, for this order (S-3); 0 unless it is the pledged one and something is owed.
    /// @param order the whole order
    /// @return seconds, counted from the start of metering
    function floorOf(Order calldata order) external view returns (uint32);

    /// @notice The market of the company.
    /// @return address of the market
    function market() external view returns (address);

    /// @notice How long after it was signed a receipt for all that has elapsed can still be settled: the floor moves with the clock, this far behind it.
    /// @return seconds
    function SLACK() external view returns (uint256);
}
