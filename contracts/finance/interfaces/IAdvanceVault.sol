// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

import {Order} from "../../interfaces/IComputeMarket.sol";
import {IERC7540Operator, IERC7540Redeem, IERC7575} from "./IERC7540.sol";
import {ICreditor} from "./IProviderSpv.sol";

/// @notice All that a vault is, fixed when it is deployed. Shares are basis points, of 10,000.
struct Terms {
    address market;
    // Whose companies it lends to.
    address factory;
    // Who rules on the leases that it lends against (V-3).
    address arbiter;
    // The clients whose word it trusts, at most 16; none: it lends only what is covered.
    address[] obligors;
    // Longest time until everything about a lease is decided, in seconds.
    uint32 maxTenor;
    // Share of income that goes to the owner first: power has to be paid, or nobody is served.
    uint16 opexBps;
    // What must stand behind a loan, as a share of what is owed at maturity; at least 10,000.
    uint16 dscrBps;
    // Share of a draw that is held back.
    uint16 reserveBps;
    // How much of the income that is still to come counts against walking away (V-6); 0: none.
    uint16 betaBps;
    // Share of the limit that may be drawn before a day was served and paid (V-7).
    uint16 earlyBps;
    // Share of the interest that goes to who covers the first loss.
    uint16 coverShareBps;
    // Share of an exit that stays.
    uint16 exitBps;
    // Caps as shares of the vault: one loan, all loans on one obligor, all loans.
    uint16 loanCapBps;
    uint16 obligorCapBps;
    uint16 utilisationCapBps;
    // Basis points a year: with nothing lent, and what is added when everything is.
    uint16 baseRate;
    uint16 slopeRate;
    // Shortest time between two fillings of the queue, in seconds.
    uint32 window;
    // At most 32.
    uint8 maxLoans;
}

/// @notice Facts only: that a loan is impaired is derived.
enum LoanState {
    None,
    Drawn,
    Repaid,
    WrittenOff
}

/// @notice A loan: one serving of one lease, one company.
struct Loan {
    address spv;
    uint32 openedAt;
    // When metering starts.
    uint32 startsAt;
    uint16 gpus;
    LoanState state;
    // Whoever claimed in the operator's stead was paid for it.
    bool isTipped;
    bytes32 lease;
    uint80 price;
    uint32 minSeconds;
    uint32 maxSeconds;
    // What was drawn and not repaid; once it is written off, what of that was not recovered.
    uint112 principal;
    uint96 reserve;
    uint96 cover;
    // Up to when `interest` counts it.
    uint32 accruedAt;
    uint16 rateBps;
    // Who covers the first loss; 0: nobody.
    address backer;
    uint96 interest;
    // The client, if it is one of the vault's obligors; else 0.
    address obligor;
    // Income of the lease of which the owner had its share, or that was paid before the first draw.
    uint96 shared;
}

/// @notice All loans at one second; token base units.
struct Survey {
    // What everything is worth: free money, and of each loan what is owed or covered, whichever is less.
    uint256 assets;
    // What is owed on all loans, and on those that rest on one obligor.
    uint256 lent;
    uint256 lentToObligor;
    // Of some loan less is covered than owed.
    bool isImpaired;
    // When the oldest dispute began of those about leases that a loan rests on; 0 while there is none.
    uint256 disputedSince;
}

/// @title Advance vault
/// @notice Lends to companies against the term leases that they serve, by a rule that reads only the chain, and is repaid by a waterfall that nobody can
/// redirect. Anyone deposits; exits wait for free money and are filled pro rata, at one price. Nobody owns it, nothing about it can be changed.
/// Warning: whoever lends beyond what is covered lends to the obligors. If one of them serves itself as a provider, the vault can lose everything it lent.
/// Warning: money that is sent to the vault without one of its verbs belongs to nobody (V-12).
/// @dev Rules are numbered V-1 to V-13 as in the specification. The token is the market's, and the same is demanded of it; one that takes a fee cannot be
/// deposited. p = paidSeconds, E = what seconds earn, B = the bond.
interface IAdvanceVault is IERC4626, IERC7540Operator, IERC7540Redeem, IERC7575, IERC165, ICreditor {
    // ------------------------------------------------------------------------------------------------------------------------------------ events

    /// @notice Money was advanced.
    /// @param loan its number
    /// @param lease the id of the order that the lease serves
    /// @param spv who borrows
    /// @param amount token base units that are owed for it, the part that is held back included
    /// @param reserve token base units of it that are held back
    /// @param rateBps the loan's rate from now on, basis points a year
    event Drawn(
        uint256 indexed loan,
        bytes32 indexed lease,
        address indexed spv,
        uint256 amount,
        uint256 reserve,
        uint256 rateBps
    );

    /// @notice Somebody offers to bear the first loss of a loan to come.
    /// @param lease the id of the order that the lease serves
    /// @param backer who offers it
    /// @param amount token base units that it has put up, in all
    event Backed(bytes32 indexed lease, address indexed backer, uint256 amount);

    /// @notice An offer to bear the first loss was taken back before it was needed.
    /// @param lease the id of the order that the lease serves
    /// @param backer who had offered it
    /// @param amount token base units
    event Unbacked(bytes32 indexed lease, address indexed backer, uint256 amount);

    /// @notice Somebody said whose cover its first draw on a lease takes.
    /// @param owner who would draw
    /// @param lease the id of the order that the lease serves
    /// @param backer who covers the first loss; 0: the owner itself
    event BackerChosen(address indexed owner, bytes32 indexed lease, address backer);

    /// @notice Income was shared out.
    /// @param loan its number
    /// @param toVault token base units that repaid the loan
    /// @param toOwner token base units that the company's owner may take
    /// @param toBacker token base units of the interest that the backer may take
    /// @param owed token base units that are still owed
    event Collected(uint256 indexed loan, uint256 toVault, uint256 toOwner, uint256 toBacker, uint256 owed);

    /// @notice Whoever claimed in the operator's stead was paid for it, out of the owner's part.
    /// @param loan the loan's number
    /// @param keeper who did it
    /// @param amount token base units
    event Tipped(uint256 indexed loan, address indexed keeper, uint256 amount);

    /// @notice Somebody repaid a loan, or a part of it.
    /// @param loan its number
    /// @param by who paid
    /// @param amount token base units
    /// @param toBacker token base units of the interest that the backer may take
    /// @param owed token base units that are still owed
    event Repaid(uint256 indexed loan, address indexed by, uint256 amount, uint256 toBacker, uint256 owed);

    /// @notice The lease is over, and what is left of the loan was decided.
    /// @param loan its number
    /// @param fromReserve token base units that what was held back paid
    /// @param fromCover token base units that the backer lost
    /// @param written token base units that all shares lost
    event Resolved(uint256 indexed loan, uint256 fromReserve, uint256 fromCover, uint256 written);

    /// @notice A written-off company earned something after all.
    /// @param loan its number
    /// @param amount token base units
    event Recovered(uint256 indexed loan, uint256 amount);

    /// @notice The queue was filled.
    /// @param shares how many left
    /// @param assets token base units for all of them
    /// @param pending shares that still wait
    event Processed(uint256 shares, uint256 assets, uint256 pending);

    /// @notice Shares do not wait any more.
    /// @param owner whose they are
    /// @param sender who said so
    /// @param shares how many
    event RedeemCancelled(address indexed owner, address indexed sender, uint256 shares);

    /// @notice Somebody took what the vault kept for it.
    /// @param account whose it was
    /// @param to who was paid
    /// @param amount token base units
    event CreditTaken(address indexed account, address indexed to, uint256 amount);

    // ------------------------------------------------------------------------------------------------------------------------------------ errors

    /// @notice A term is out of its bounds.
    /// @param number which one, counted from 1 in the order of `Terms`
    error BadTerms(uint256 number);

    /// @notice V-1: the company does not serve this order such that it can no longer decline, is not its payee, or the loan on it is over.
    /// @param lease the order's id
    /// @param spv who borrows
    error NotServed(bytes32 lease, address spv);

    /// @notice Only the company's owner draws.
    /// @param caller who called
    /// @param owner who may
    error NotOwner(address caller, address owner);

    /// @notice V-2: the vault does not lend on this client's word, and what would be owed is not covered.
    /// @param client who pays for the lease, or who else may act for it
    error NotObligor(address client);

    /// @notice V-3: another arbiter would rule on the lease.
    /// @param attempted the order's
    /// @param allowed the vault's
    error WrongArbiter(address attempted, address allowed);

    /// @notice V-3: it can take longer until everything about the lease is decided.
    /// @param maturity when that is, Unix time
    /// @param most the latest that is allowed, Unix time
    error TooLong(uint256 maturity, uint256 most);

    /// @notice V-4, V-5: too little stands behind the loan.
    /// @param covered token base units
    /// @param needed token base units
    error NotCovered(uint256 covered, uint256 needed);

    /// @notice V-6: whoever drew that and left would gain.
    /// @param attempted token base units that it would have
    /// @param most token base units that it would lose
    error WalkAway(uint256 attempted, uint256 most);

    /// @notice V-7: the client has not paid for a day yet, or not let one pass.
    /// @param attempted token base units
    error TooEarlyToDraw(uint256 attempted);

    /// @notice V-8: more than there is, or than one loan, one obligor or all of them may have; or the owner has a written-off loan here.
    /// @param attempted token base units; for places, how many
    /// @param most what is allowed
    error CapExceeded(uint256 attempted, uint256 most);

    /// @notice V-9: the rate is higher than the borrower wanted.
    /// @param attempted basis points a year
    /// @param most basis points a year
    error RateTooHigh(uint256 attempted, uint256 most);

    /// @notice V-10: while less stands behind a loan than is owed, nobody enters.
    error Impaired();

    /// @notice The lease is not over.
    /// @param lease the id of the order that it serves
    error StillLive(bytes32 lease);

    /// @notice There is no such loan, or nothing is owed on it.
    /// @param loan its number
    error NothingOwed(uint256 loan);

    /// @notice V-11: the queue is filled once a window, and not while a lease is disputed that a loan rests on.
    /// @param attempted block time, Unix seconds
    /// @param from when it can be filled at the latest, Unix time
    error WindowOpen(uint256 attempted, uint256 from);

    /// @notice Only the holder or its operator may do this.
    /// @param caller who called
    /// @param controller whose request it is
    error NotController(address caller, address controller);

    /// @notice So many shares do not wait.
    /// @param attempted shares
    /// @param most shares
    error NotPending(uint256 attempted, uint256 most);

    /// @notice The holder waited through more fillings than one call can go through: take what left first.
    /// @param controller whose request it is
    error Behind(address controller);

    /// @notice V-13: what an exit pays is known when it is filled, not before.
    error NoPreview();

    /// @notice The token took something for itself on the way in.
    /// @param arrived token base units
    /// @param sent token base units
    error Shortfall(uint256 arrived, uint256 sent);

    /// @notice A first loss is offered before the first draw, for the serving that is open.
    /// @param lease the id of the order that it serves
    error NotBackable(bytes32 lease);

    // -------------------------------------------------------------------------------------------------------------------------------------- exits

    /// @notice Fills the queue out of free money, at the price of now less `exitBps`, pro rata. Anyone, once a window; while a lease is disputed that a loan
    /// rests on it waits, but at most RULING_WINDOW beyond the window's end, or beyond the oldest dispute's beginning where that came later (V-11).
    /// @return shares how many left
    /// @return assets token base units for all of them
    function process() external returns (uint256 shares, uint256 assets);

    /// @notice Takes shares back that wait. The owner or its operator.
    /// @param shares how many
    /// @param owner whose request it is
    function cancelRedeem(uint256 shares, address owner) external;

    /// @notice Takes what the vault keeps for the caller: an owner's part, a backer's, a keeper's. What cannot be taken hurts nobody else.
    /// @param to who is paid
    /// @return amount token base units
    function takeCredit(address to) external returns (uint256 amount);

    // ------------------------------------------------------------------------------------------------------------------------------------ lending

    /// @notice Offers to bear the first loss of a loan on this serving, for a share of its interest. Anyone, before the first draw. It holds for the serving
    /// that is open now, and for whoever the company's owner chooses: one backer a loan, `unback` until then.
    /// @param order the whole order, as it was signed
    /// @param amount token base units to put up more
    function back(Order calldata order, uint96 amount) external;

    /// @notice Takes back what the caller put up and no loan has taken.
    /// @param lease the id of the order
    function unback(bytes32 lease) external;

    /// @notice Says whose cover the caller's first draw on a lease takes; unless it says so, its own. Only the owner of the company that serves it has
    /// a use for that.
    /// @param lease the id of the order
    /// @param backer who covers the first loss; 0: the caller
    function choose(bytes32 lease, address backer) external;

    /// @notice Advances money against a lease. The company's owner, which has to `allow` the vault; again on the same loan while the rules allow (V-1 to V-9).
    /// @param order the whole order, as it was signed
    /// @param spv the company that serves it
    /// @param amount token base units to owe more: all but the reserve is paid to the caller
    /// @param maxRateBps the highest rate that the loan may have then, basis points a year
    /// @return loan its number
    function draw(Order calldata order, address spv, uint112 amount, uint16 maxRateBps) external returns (uint256 loan);

    /// @notice Shares out what the company has in the market: running costs, what is owed, the owner. Anyone.
    /// @param number the loan's
    /// @return toVault token base units that repaid it
    /// @return toOwner token base units that the owner may take
    function collect(uint256 number) external returns (uint256 toVault, uint256 toOwner);

    /// @notice Repays early. Anyone; no more is taken than is owed.
    /// @param number the loan's
    /// @param amount token base units at most
    function repay(uint256 number, uint112 amount) external;

    /// @notice Ends a loan whose lease is over: reserve, then cover, then all shares alike. Anyone.
    /// @param number the loan's
    /// @return written token base units that all shares lost
    function resolve(uint256 number) external returns (uint256 written);

    /// @notice Collects what a written-off company still earns. Anyone.
    /// @param number the loan's
    function recover(uint256 number) external;

    // -------------------------------------------------------------------------------------------------------------------------------------- views

    /// @notice How much its owner may draw now, and which rule forbids more.
    /// @param order the whole order, as it was signed
    /// @param spv the company that serves it
    /// @return most token base units
    /// @return rule n of V-n
    function limitOf(Order calldata order, address spv) external view returns (uint112 most, uint8 rule);

    /// @notice What is owed now.
    /// @param loan its number
    /// @return token base units, rounded up
    function owedOf(uint256 loan) external view returns (uint256);

    /// @notice What is surely still to come of the lease, whatever anybody says from now on; nothing while it is disputed, closed or past the deadline.
    /// @param number the loan's
    /// @return token base units, rounded down
    function dueOf(uint256 number) external view returns (uint256);

    /// @notice What stands behind a loan: the lender's part of what is due and of what the company has, reserve and cover.
    /// @param number the loan's
    /// @return token base units, rounded down
    function coveredOf(uint256 number) external view returns (uint256);

    /// @notice A loan as it is stored.
    /// @param loan its number
    /// @return value all of it
    function loanOf(uint256 loan) external view returns (Loan memory value);

    /// @notice The loan on a serving.
    /// @param lease the id of the order that it serves
    /// @param openedAt which serving of it
    /// @return its number; 0: none
    function loanOn(bytes32 lease, uint40 openedAt) external view returns (uint256);

    /// @notice The loans that count: those that owe something, and those that were written off and not recovered.
    /// @return their numbers
    function loans() external view returns (uint256[] memory);

    /// @notice Whether less stands behind some loan than is owed on it: then nobody enters.
    /// @return true if so
    function isImpaired() external view returns (bool);

    /// @notice Whether the vault lends on a client's word.
    /// @param client any address
    /// @return true if it is one of the obligors
    function isObligor(address client) external view returns (bool);

    /// @notice All that the vault is.
    /// @return as they were at deployment
    function terms() external view returns (Terms memory);

    /// @notice Free money: what came in by the vault's own verbs and is neither lent, nor anybody's to take.
    /// @return token base units
    function cash() external view returns (uint256);

    /// @notice All loans now (V-10).
    /// @param obligor whose loans are counted apart
    /// @return what they come to
    function surveyOf(address obligor) external view returns (Survey memory);

    /// @notice Whether a company of this owner was written off here (V-8).
    /// @param owner whose company
    /// @return true if so: it draws no more
    function hasWriteOff(address owner) external view returns (bool);

    /// @notice Whose cover an owner's first draw on a lease takes.
    /// @param owner who draws
    /// @param lease the id of the order
    /// @return the backer; the owner itself, unless it chose another
    function chosenBy(address owner, bytes32 lease) external view returns (address);

    /// @notice The contract that decides whether and how much is lent.
    /// @return its address
    function rules() external view returns (address);

    /// @notice What an account may take.
    /// @param account whose it is
    /// @return token base units
    function creditOf(address account) external view returns (uint256);

    /// @notice What somebody put up for a loan that has not been drawn.
    /// @param lease the id of the order
    /// @param backer who did
    /// @return amount token base units
    /// @return openedAt for which serving
    function coverOf(bytes32 lease, address backer) external view returns (uint96 amount, uint40 openedAt);

    /// @notice The queue.
    /// @return pending shares that wait
    /// @return fillings how often it was filled
    /// @return windowEndsAt when it may be filled again, Unix time
    function queue() external view returns (uint256 pending, uint256 fillings, uint256 windowEndsAt);
}
