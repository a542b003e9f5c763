// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The states of an order and of the lease that serves it. Only facts are stored: no status here becomes untrue because time passes (P-11).
enum Status {
    // Never opened, or declined before anything was paid: it may be opened.
    None,
    // A provider serves it. The client's money and the provider's bond are locked, the GPUs are taken.
    Open,
    // The provider has said what it is owed; the client may object until the challenge window ends. The GPUs are free again.
    Claimed,
    // The client objects; the arbiter rules, or the ruling window ends.
    Disputed,
    // Paid out or cancelled, for good.
    Closed
}

/// @notice A client's request, signed off-chain (EIP-712). Its digest is its id.
/// @dev Field order and widths are part of the signed type and of the ABI.
struct Order {
    // Whose balance pays.
    address client;
    // Bit i set: GPU class i is acceptable.
    uint256 classes;
    // 0, or the only offer that may serve it.
    uint40 offer;
    // GPUs needed together on one offer, at least 1.
    uint16 gpus;
    // The longest time the client pays for, at least 1.
    uint32 maxSeconds;
    // Take-or-pay: what terminating costs at least; at most `maxSeconds`.
    uint32 minSeconds;
    // The highest price, in token base units per GPU-hour.
    uint80 maxPrice;
    // The smallest bond share accepted, in basis points.
    uint16 minBondBps;
    // 0, or when metering starts (a term lease).
    uint40 startsAt;
    // The first second at which it may no longer be opened; 0 is simply expired.
    uint40 expiresAt;
    // Token base units to the opener, at the first opening only.
    uint96 tip;
    // 0, or the only address, beside the client, that may open it. A tip needs one.
    address opener;
    // 0, or a second address that may act for the client's side.
    address acceptor;
    // Must equal the offer's arbiter.
    address arbiter;
    // sha256 of the job spec's canonical JSON (RFC 8785).
    bytes32 spec;
    // Makes two otherwise equal orders different.
    uint256 salt;
}

/// @notice A provider's standing listing of GPUs of one class at one price. Only `free`, `price` and `expiresAt` ever change.
struct Offer {
    // One word: what a fill has to read and write.
    address provider;
    uint8 class;
    uint16 gpus;
    uint16 free;
    uint16 bondBps;
    uint40 expiresAt;
    // One word: what a fill has to read. `minSeconds` is the least an order must guarantee, against open-and-terminate griefing.
    address arbiter;
    uint80 price;
    uint16 minSeconds;
    // sha256 of the machine description's canonical JSON.
    bytes32 spec;
}

/// @notice What the one storage word of an order says. Everything else is derived from the order.
struct Lease {
    Status status;
    // The tip was charged at an earlier opening, or at this one.
    bool tipPaid;
    // Cancelled while open: a decline closes it instead of letting it be opened again.
    bool noReopen;
    // The right to the income was moved to another payee.
    bool assigned;
    // The acceptor, not the client, staked the dispute.
    bool byAcceptor;
    // A delegate's budget was charged for the order, at an earlier opening or at this one.
    bool charged;
    uint40 offer;
    // Token base units per GPU-hour.
    uint80 price;
    uint32 openedAt;
    uint32 paidSeconds;
    uint32 claimedSeconds;
    // When it was claimed or disputed.
    uint32 changedAt;
}

/// @notice What both sides sign about a lease (EIP-712). `openedAt` binds it to one serving of the order.
struct Receipt {
    bytes32 lease;
    uint40 offer;
    uint40 openedAt;
    // Cumulative.
    uint32 usedSeconds;
    // sha256 of the job's result record.
    bytes32 result;
    // False: it only pays the provider, and needs only the client's side. True: it closes the lease, and needs both.
    bool last;
}

/// @notice A proposal: this order, on this offer, at this price.
struct Fill {
    Order order;
    uint40 offer;
    uint80 price;
    // The client's; may be empty where msg.sender is the client.
    bytes signature;
}

/// @notice A receipt to settle. The market rebuilds lease, offer and openedAt from its own word.
struct Settlement {
    Order order;
    uint32 usedSeconds;
    bytes32 result;
    bool last;
    // The client's or the acceptor's; may be empty where msg.sender is one of them.
    bytes clientSignature;
    // The provider's; may be empty where msg.sender is the provider, and is not looked at unless `last`.
    bytes providerSignature;
}

/// @notice Why an item of a batch was refused; where several reasons hold, any of them. 1 to 20 refuse a fill, 32 to 37 a settlement or a finalization.
enum Refusal {
    // Not refused.
    None,
    // Neither the client, nor a delegate whose time runs, nor the client's contract signed the order.
    BadSignature,
    // A delegate signed it, whose budget does not cover T at maxPrice and the tip, and no budget was charged for it before.
    OverBudget,
    // It is being served.
    OrderLive,
    // It was served or cancelled.
    OrderClosed,
    // Its expiresAt has come.
    OrderExpired,
    // It names another opener, and the caller is not the client either.
    OpenerNotAllowed,
    // It pays a tip, but names nobody to earn it.
    TipWithoutOpener,
    // No GPUs, no seconds, or more seconds guaranteed than paid for.
    BadAmounts,
    // The offer's class is not among those that the order accepts.
    ClassNotAccepted,
    // The order names another offer.
    WrongOffer,
    // The offer does not exist, or its expiresAt has come.
    OfferNotAlive,
    // Order and offer name different arbiters.
    WrongArbiter,
    // The offer has fewer GPUs free.
    NotEnoughGpus,
    // The fill's price is below the offer's, or above the order's highest.
    PriceOutOfBounds,
    // The offer puts a smaller share at stake than the order asks for.
    BondTooSmall,
    // The order guarantees fewer seconds than the offer asks for.
    MinSecondsTooSmall,
    // Metering would start later, and the caller is not the offer's provider.
    TermLeaseNotByProvider,
    // The client's free balance does not cover T and the tip.
    ClientBalanceTooLow,
    // The provider's free balance does not cover B.
    ProviderBalanceTooLow,
    // It was declined in this second; receipts must tell its servings apart.
    TooSoon,
    Reserved21,
    Reserved22,
    Reserved23,
    Reserved24,
    Reserved25,
    Reserved26,
    Reserved27,
    Reserved28,
    Reserved29,
    Reserved30,
    Reserved31,
    // The lease is not open, claimed or disputed.
    NotLive,
    // usedSeconds is less than what was paid, or more than both sides may agree on by now.
    SecondsOutOfBounds,
    // Neither the client nor the acceptor signed the receipt.
    BadClientSignature,
    // The provider did not sign the receipt.
    BadProviderSignature,
    // The lease is not claimed.
    NotClaimed,
    // The client's side may still object.
    WindowOpen
}

/// @notice What the market needs of a token that supports EIP-3009.
interface IReceiveWithAuthorization {
    /// @notice Pays `value` from `from`, which signed for it, to `to`, which alone may call this.
    /// @param from who signed, and pays
    /// @param to who is paid: the caller
    /// @param value how much, in token base units
    /// @param validAfter Unix time after which it is valid
    /// @param validBefore Unix time from which on it is not valid any more
    /// @param nonce what the signer chose, never used before
    /// @param v recovery byte of the signature, 27 or 28
    /// @param r first half of the signature
    /// @param s second half of the signature
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
}

/// @title Compute market
/// @notice Escrow in which GPU-hours trade: providers list offers, clients sign orders, anyone posts fills and receipts, and every lock has an
/// exit that somebody other than the silent side can take. Rules are numbered as in the specification.
/// @dev Words: p = paidSeconds, q = claimedSeconds, E(s) = floor(price * gpus * s / 3600), T = ceil(price * gpus * maxSeconds / 3600),
/// B = max(floor(T * bondBps / 10000), BOND_FLOOR); start = max(openedAt, startsAt); elapsed = min(maxSeconds, max(0, now - start));
/// deadline = start + maxSeconds + CLAIM_GRACE. All intervals are half-open.
///
/// Needed of the token for safety: balances move only by its own transfers (no rebasing), and no transfer moves more than it was asked to. A fee on the
/// way in is borne by the depositor, a fee on the way out by whoever withdraws. `permit`, if called, reverts unless the owner signed it: of a token whose
/// fallback swallows unknown calls, anybody could turn an owner's allowance into the owner's deposit. Needed for liveness: it lets the market pay out.
/// Warning: a token that pauses or blacklists the market itself freezes every withdrawal; it cannot make the market pay anybody twice.
/// Warning: tokens that are sent to the market without `deposit` belong to nobody.
interface IComputeMarket {
    // ------------------------------------------------------------------------------------------------------------------------------------ events

    /// @notice A batch of fills was posted. `round` is the hash of the published round that they came from, or 0; `opened` counts those that held.
    /// @param round hash of the published round, or 0
    /// @param opener who posted the batch
    /// @param opened how many fills held
    event BatchOpened(bytes32 indexed round, address indexed opener, uint256 opened);

    /// @notice An order is being served. It carries the whole order, because every later verb needs it and nobody should need anything but the chain.
    /// @param lease the order's id
    /// @param offer on which offer
    /// @param client who pays
    /// @param opener who posted the fill, and earned a tip
    /// @param price token base units per GPU-hour
    /// @param order the whole order
    event LeaseOpened(
        bytes32 indexed lease, uint40 indexed offer, address indexed client, address opener, uint80 price, Order order
    );

    /// @notice A fill was refused; nothing changed.
    /// Warning: anyone can have a stranger's order refused. Act only on refusals that your own transactions caused.
    /// @param order the order's id
    /// @param offer the offer that the fill names
    /// @param opener who posted the fill
    /// @param reason why
    event FillRefused(bytes32 indexed order, uint40 indexed offer, address indexed opener, Refusal reason);

    /// @notice A settlement or a finalization was refused; nothing changed. `reason` is one of `Refusal`. The warning of `FillRefused` holds here too.
    /// @param lease the id of the order that it serves
    /// @param sender who posted the batch
    /// @param reason why
    event SettlementRefused(bytes32 indexed lease, address indexed sender, Refusal reason);

    /// @notice An order was charged to a delegate's budget: at the first of its openings that a delegate's signature authorised, and never again.
    /// @param account whose money it is
    /// @param delegate who signed the order
    /// @param order the order's id
    /// @param left what the delegate may still spend, in token base units
    event BudgetSpent(address indexed account, address indexed delegate, bytes32 indexed order, uint128 left);

    /// @notice `amount` arrived and was credited.
    /// @param account who was credited
    /// @param from who paid
    /// @param amount token base units that arrived, after any fee of the token's
    event Deposited(address indexed account, address indexed from, uint256 amount);

    /// @notice `amount` left the free balance of `account`.
    /// @param account who was debited
    /// @param to who was paid
    /// @param amount token base units, before any fee of the token's
    event Withdrawn(address indexed account, address indexed to, uint256 amount);

    /// @notice `account` lets `delegate` sign orders for at most `budget` until `until`.
    /// @param account whose money it is
    /// @param delegate who may sign
    /// @param budget at most so many token base units; 0 is none
    /// @param until the first second, in Unix time, at which it may not any more; 0 is never
    event Authorized(address indexed account, address indexed delegate, uint128 budget, uint40 until);

    /// @notice A provider listed an offer.
    /// @param offer its id
    /// @param provider who listed it
    /// @param value the whole offer
    event OfferListed(uint40 indexed offer, address indexed provider, Offer value);

    /// @notice An offer's price and expiry changed, for later leases only.
    /// @param offer its id
    /// @param price token base units per GPU-hour
    /// @param expiresAt the first second, in Unix time, at which no lease may be opened on it
    event OfferRepriced(uint40 indexed offer, uint80 price, uint40 expiresAt);

    /// @notice The order will never be opened (again). A lease that is open goes on.
    /// @param lease the order's id
    /// @param by the client or its acceptor
    event OrderCancelled(bytes32 indexed lease, address indexed by);

    /// @notice A receipt was settled. `refund` went to the client, `bond` to the provider, `stake` to the disputer; all 0 unless `last`.
    /// @param lease the id of the order that it serves
    /// @param usedSeconds seconds that were used since metering began, in all
    /// @param result sha256 of the job's result record
    /// @param last whether it closed the lease
    /// @param paid token base units that went to the payee by this
    /// @param refund token base units that went back to the client
    /// @param bond token base units that went back to the provider
    /// @param stake token base units that went back to the disputer
    event LeaseSettled(
        bytes32 indexed lease,
        uint32 usedSeconds,
        bytes32 result,
        bool last,
        uint256 paid,
        uint256 refund,
        uint256 bond,
        uint256 stake
    );

    /// @notice The provider said what it is owed; the challenge window starts.
    /// @param lease the id of the order that it serves
    /// @param usedSeconds seconds that the provider says were used, in all
    /// @param result sha256 of the job's result record
    event LeaseClaimed(bytes32 indexed lease, uint32 usedSeconds, bytes32 result);

    /// @notice A claim was paid; `paidSeconds` is all that was ever paid for.
    /// @param lease the id of the order that it serves
    /// @param paidSeconds all seconds that were ever paid for
    /// @param paid token base units that went to the payee by this
    /// @param refund token base units that went back to the client
    /// @param bond token base units that went back to the provider
    event LeaseFinalized(bytes32 indexed lease, uint32 paidSeconds, uint256 paid, uint256 refund, uint256 bond);

    /// @notice The client's side ended the lease early; `paidSeconds` is all that was ever paid for.
    /// @param lease the id of the order that it serves
    /// @param by the client or its acceptor
    /// @param paidSeconds all seconds that were ever paid for
    /// @param paid token base units that went to the payee by this
    /// @param refund token base units that went back to the client
    /// @param bond token base units that went back to the provider
    event LeaseTerminated(
        bytes32 indexed lease, address indexed by, uint32 paidSeconds, uint256 paid, uint256 refund, uint256 bond
    );

    /// @notice The provider could not serve it. `status` is None when the order may be opened again, else Closed.
    /// @param lease the id of the order that it serves
    /// @param status None or Closed
    /// @param refund token base units that the client got, all that it had been charged but the tip
    /// @param bond token base units that went back to the provider
    event LeaseDeclined(bytes32 indexed lease, Status status, uint256 refund, uint256 bond);

    /// @notice The provider stayed silent. The client got `refund` and, out of the bond, `compensation`; the provider the rest of it, `bond`.
    /// @param lease the id of the order that it serves
    /// @param refund token base units that went back to the client
    /// @param compensation token base units that the client got out of the bond
    /// @param bond token base units that went back to the provider
    event LeaseExpired(bytes32 indexed lease, uint256 refund, uint256 compensation, uint256 bond);

    /// @notice The client's side objected and staked as much as the bond.
    /// @param lease the id of the order that it serves
    /// @param by the client or its acceptor, who staked
    /// @param claimedSeconds the seconds in dispute, counted from the start of metering
    /// @param stake token base units
    event LeaseDisputed(bytes32 indexed lease, address indexed by, uint32 claimedSeconds, uint256 stake);

    /// @notice The arbiter ruled.
    /// @param lease the id of the order that it serves
    /// @param providerAtFault who lost
    /// @param paidSeconds all seconds that were ever paid for
    /// @param paid token base units that went to the payee by this
    /// @param refund token base units that went back to the client
    /// @param toProvider token base units of both stakes that the provider got
    /// @param toDisputer token base units of both stakes that the disputer got
    /// @param toArbiter token base units of them that the arbiter got
    event LeaseRuled(
        bytes32 indexed lease,
        bool providerAtFault,
        uint32 paidSeconds,
        uint256 paid,
        uint256 refund,
        uint256 toProvider,
        uint256 toDisputer,
        uint256 toArbiter
    );

    /// @notice The arbiter stayed silent: stakes went back, the seconds in dispute or guaranteed were split.
    /// @param lease the id of the order that it serves
    /// @param paidSeconds all seconds that were ever paid for
    /// @param paid token base units that went to the payee by this
    /// @param refund token base units that went back to the client
    /// @param bond token base units that went back to the provider
    /// @param stake token base units that went back to the disputer
    event LeaseLapsed(
        bytes32 indexed lease, uint32 paidSeconds, uint256 paid, uint256 refund, uint256 bond, uint256 stake
    );

    /// @notice The right to the lease's future income moved.
    /// @param lease the id of the order that it serves
    /// @param from who had it
    /// @param payee who has it now
    event LeaseAssigned(bytes32 indexed lease, address indexed from, address indexed payee);

    // ------------------------------------------------------------------------------------------------------------------------------------ errors

    /// @notice Address 0 can be no account, delegate or payee: nobody could ever act for it. `PaidToMarket` says the same of the market.
    error ZeroAccount();

    /// @notice The account's free balance is smaller than what it wants to withdraw.
    /// @param account whose account it is
    /// @param attempted token base units that it wants
    /// @param available token base units that it has free
    error BalanceTooLow(address account, uint256 attempted, uint256 available);

    /// @notice An offer must list at least one GPU.
    error NoGpus();

    /// @notice A bond share is at most 10000 basis points.
    /// @param attempted what was asked, in basis points
    /// @param allowed the most, in basis points
    error BondBpsTooHigh(uint16 attempted, uint16 allowed);

    /// @notice The arbiter of an offer must be somebody, and somebody else than its provider.
    /// @param arbiter who was named
    error WrongArbiter(address arbiter);

    /// @notice Only the offer's provider may do this; 0 means that there is no such offer.
    /// @param caller who called
    /// @param provider who listed the offer
    error NotProvider(address caller, address provider);

    /// @notice Only the order's client or its acceptor may do this.
    /// @param caller who called
    /// @param client who pays for the order
    /// @param acceptor who may act for it, or 0
    error NotClientSide(address caller, address client, address acceptor);

    /// @notice The lease is not open: never opened, declined, claimed, disputed or closed.
    /// @param lease the id of the order that it serves
    /// @param status what it is in instead
    error NotOpen(bytes32 lease, Status status);

    /// @notice The order can no longer be cancelled: its lease is claimed or disputed, or it is closed already.
    /// @param lease the order's id
    /// @param status what it is in
    error NotCancellable(bytes32 lease, Status status);

    /// @notice The claimed seconds are outside of what was paid at least and has elapsed at most.
    /// @param attempted what was claimed or ruled, in seconds
    /// @param least the fewest
    /// @param most the most
    error SecondsOutOfBounds(uint256 attempted, uint256 least, uint256 most);

    /// @notice The interval of this verb begins at `from`.
    /// @param attempted block time, Unix seconds
    /// @param from the first second at which it may be called, Unix time
    error TooEarly(uint256 attempted, uint256 from);

    /// @notice The interval of this verb ended at `end`, which is its first second outside.
    /// @param attempted block time, Unix seconds
    /// @param end the first second at which it may not be called any more, Unix time
    error TooLate(uint256 attempted, uint256 end);

    /// @notice A term lease cannot be declined.
    /// @param lease the id of the order that it serves
    /// @param startsAt when its metering starts, Unix time
    error TermLease(bytes32 lease, uint40 startsAt);

    /// @notice What was already paid comes back out of the bond, which is too small for that.
    /// @param paid token base units that were paid
    /// @param bond token base units at stake
    error PaidBeyondBond(uint256 paid, uint256 bond);

    /// @notice The lease is neither open, claimed nor disputed: it has no income to come.
    /// @param lease the id of the order that it serves
    /// @param status what it is in
    error NotLive(bytes32 lease, Status status);

    /// @notice Only an open or a claimed lease can be disputed.
    /// @param lease the id of the order that it serves
    /// @param status what it is in
    error NotDisputable(bytes32 lease, Status status);

    /// @notice The lease is not disputed.
    /// @param lease the id of the order that it serves
    /// @param status what it is in
    error NotDisputed(bytes32 lease, Status status);

    /// @notice Only the arbiter that the order names may rule.
    /// @param caller who called
    /// @param arbiter who may
    error NotArbiter(address caller, address arbiter);

    /// @notice Only who gets the lease's income now may pass it on.
    /// @param caller who called
    /// @param payee who gets it now
    error NotPayee(address caller, address payee);

    /// @notice The token took no permit, and only the owner itself may go on with an allowance that it gave earlier.
    /// @param caller who called
    /// @param owner whose tokens they are
    error NotPermitted(address caller, address owner);

    /// @notice What is paid or credited to the market itself would belong to nobody.
    error PaidToMarket();

    /// @notice Too little gas is left to ask a contract about its signature: a batch must not be refused by starving it.
    /// @param available gas that is left
    /// @param needed gas that must be left
    error GasTooLow(uint256 available, uint256 needed);

    /// @notice The market's words hold times of 32 bits.
    /// @param attempted block time, Unix seconds
    /// @param allowed the last second that fits, Unix time
    error TimeTooLate(uint256 attempted, uint256 allowed);

    // ---------------------------------------------------------------------------------------------------------------------------------- accounts

    /// @notice Takes `amount` from the caller and credits what arrived to `account` (P-01). Anyone may do so for anyone; neither 0 nor the market is one.
    /// @param account who is credited
    /// @param amount token base units
    function deposit(address account, uint256 amount) external;

    /// @notice Deposits `amount` of the owner's tokens to the owner's own account, with its EIP-2612 permit; anyone may relay it.
    /// @dev A permit that somebody else used up first must not block the owner: it may go on with the allowance that is there. Nobody else may.
    /// @param owner whose tokens are paid in, and whose account is credited
    /// @param amount token base units
    /// @param deadline the last second, in Unix time, at which the permit holds
    /// @param v recovery byte of the signature, 27 or 28
    /// @param r first half of the signature
    /// @param s second half of the signature
    function depositWithPermit(address owner, uint256 amount, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;

    /// @notice Deposits with the owner's EIP-3009 authorization to receive; anyone may relay it, and only the market can use it.
    /// @param owner whose tokens are paid in, and whose account is credited
    /// @param amount token base units
    /// @param validAfter Unix time after which the authorization is valid
    /// @param validBefore Unix time from which on it is not valid any more
    /// @param nonce what the owner chose, never used before
    /// @param v recovery byte of the signature, 27 or 28
    /// @param r first half of the signature
    /// @param s second half of the signature
    function depositWithAuthorization(
        address owner,
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Pays `amount` of the caller's free balance to `to`, which is not the market (P-06).
    /// @param to who is paid
    /// @param amount token base units
    function withdraw(address to, uint256 amount) external;

    /// @notice Lets a delegate, which signs with a key of its own, sign orders for the caller: up to a hard budget, until a time. A budget of 0, or
    /// until 0, clears both.
    /// @dev An order is charged with T at maxPrice and the tip once, at the first of its openings that a delegate's signature authorises, and nothing is ever
    /// restored: what an agent can spend is known beforehand (I-7). A charged order needs no budget again, only the signature of a delegate whose time runs:
    /// lowering a budget does not stop it. Clearing does, until the delegate is authorised again; `cancel` ends it for good.
    /// @param delegate who may sign; not 0
    /// @param budget at most so many token base units
    /// @param until the first second, in Unix time, at which it may not any more
    function authorize(address delegate, uint128 budget, uint40 until) external;

    // ------------------------------------------------------------------------------------------------------------------------------------ offers

    /// @notice Lists GPUs of one class on one machine. The caller is the provider, all GPUs are free.
    /// @param class the GPUs' class, as the catalogue numbers them
    /// @param gpus how many, at least 1
    /// @param bondBps share of T that it puts at stake, in basis points
    /// @param price token base units per GPU-hour
    /// @param minSeconds the least that an order must guarantee
    /// @param expiresAt the first second at which no lease may be opened on it; 0 is simply expired
    /// @param arbiter who rules on disputes; neither 0 nor the provider itself
    /// @param spec sha256 of the machine description's canonical JSON
    /// @return offer its id; ids count from 1
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

    /// @notice Changes an offer's price and expiry. Running leases keep their price; an expiry in the past takes the offer off the market.
    /// @param offer its id; only its provider may
    /// @param price token base units per GPU-hour
    /// @param expiresAt the first second, in Unix time, at which no lease may be opened on it
    function reprice(uint40 offer, uint80 price, uint40 expiresAt) external;

    // ------------------------------------------------------------------------------------------------------------------------------------ orders

    /// @notice Opens the leases whose fills hold (P-20). A fill that does not is refused with its reason in an event, and changes nothing (I-9).
    /// @dev The client itself may always open its own order without a signature. Reverts, instead of refusing, only when too little gas is left to ask a
    /// contract about its signature. From the year 2106 on, when the time does not fit the word any more, every order is refused with BadAmounts.
    /// @param fills each an order, the offer that is to serve it, and at which price
    /// @param round hash of the published round that the fills came from, or 0
    function open(Fill[] calldata fills, bytes32 round) external;

    /// @notice Makes sure that the order is never opened (again). Client or acceptor; in None or Open.
    /// @param order the whole order, as it was signed: the market keeps only a word of it
    function cancel(Order calldata order) external;

    // ------------------------------------------------------------------------------------------------------------------------------------ leases

    /// @notice Settles receipts; anyone, in Open, Claimed or Disputed. paidSeconds <= usedSeconds <= max(elapsed, minSeconds), and a progress
    /// receipt pays for strictly more than before. An item that does not hold is refused in an event, and changes nothing (I-9).
    /// @param settlements each an order, what a receipt of its lease says, and who signed that
    function settle(Settlement[] calldata settlements) external;

    /// @notice The provider says what it is owed. Open, start + minSeconds <= now < deadline, paidSeconds <= usedSeconds <= elapsed.
    /// Frees the GPUs and starts the challenge window.
    /// @param order the whole order, as it was signed: the market keeps only a word of it
    /// @param usedSeconds seconds that were used since metering began
    /// @param result sha256 of the job's result record
    function claim(Order calldata order, uint32 usedSeconds, bytes32 result) external;

    /// @notice Pays claims that nobody objected to; anyone, from changedAt + CHALLENGE_WINDOW. An item that does not hold is refused in an event.
    /// @param orders the whole orders whose leases are claimed
    function finalize(Order[] calldata orders) external;

    /// @notice Ends a lease early. Client or acceptor; Open, before deadline. Pays max(elapsed, minSeconds, paidSeconds).
    /// @param order the whole order, as it was signed: the market keeps only a word of it
    function terminate(Order calldata order) external;

    /// @notice The provider hands the order back without penalty. Open, before openedAt + START_GRACE, no term lease, E(paidSeconds) <= B.
    /// What was already paid comes back out of the bond. If nothing was paid the order may be opened again, in a later second than before.
    /// @param order the whole order, as it was signed: the market keeps only a word of it
    function decline(Order calldata order) external;

    /// @notice Makes the client whole, and compensates it out of the bond; anyone. Open, from deadline.
    /// @param order the whole order, as it was signed: the market keeps only a word of it
    function expire(Order calldata order) external;

    /// @notice Objects to a lease, or to what the provider claims of it. Client or acceptor, which stakes B of its own balance; Open in
    /// [start + START_GRACE, deadline), or Claimed before changedAt + CHALLENGE_WINDOW. Frees the GPUs; in Open, what has elapsed is what is in dispute.
    /// @param order the whole order, as it was signed: the market keeps only a word of it
    function dispute(Order calldata order) external;

    /// @notice Rules on a dispute. The order's arbiter; before changedAt + RULING_WINDOW. `usedSeconds` is at most claimedSeconds or, if the provider
    /// is not at fault, m (see `lapse`); what was paid stays paid. The loser's stake goes to the winner, half of it to the arbiter.
    /// @param order the whole order, as it was signed: the market keeps only a word of it
    /// @param usedSeconds seconds that are to be paid, counted from the start of metering
    /// @param providerAtFault who loses its stake: true the provider, false the disputer
    function rule(Order calldata order, uint32 usedSeconds, bool providerAtFault) external;

    /// @notice Ends a dispute on which nobody ruled: stakes go back, what is in dispute or guaranteed is split. Anyone; from changedAt + RULING_WINDOW.
    /// @dev m = max(q, p, minSeconds) if it was disputed before start + minSeconds, else max(q, p): from then on elapsed covers the guarantee, and a claim
    /// waives it. Paid are p + floor((m - p) / 2) seconds.
    /// @param order the whole order, as it was signed: the market keeps only a word of it
    function lapse(Order calldata order) external;

    /// @notice Moves the right to a lease's future income; the current payee, while it is live; to neither 0 nor the market. A later serving of the order
    /// pays its provider again.
    /// @param order the whole order, as it was signed: the market keeps only a word of it
    /// @param payee who gets what is paid from now on
    function assign(Order calldata order, address payee) external;

    // ------------------------------------------------------------------------------------------------------------------------------------- views

    /// @notice The order's EIP-712 digest: its id and that of the lease that serves it.
    /// @param order the whole order
    /// @return its id
    function orderId(Order calldata order) external view returns (bytes32);

    /// @notice The receipt's EIP-712 digest.
    /// @param receipt the whole receipt
    /// @return its digest
    function receiptId(Receipt calldata receipt) external view returns (bytes32);

    /// @notice The order's status.
    /// @param order the whole order
    /// @return None if the market never touched it
    function statusOf(Order calldata order) external view returns (Status);

    /// @notice What the market stores of an order; all zero if it never touched it.
    /// @param id the order's id
    /// @return what its word says
    function leaseOf(bytes32 id) external view returns (Lease memory);

    /// @notice The offer; all zero if there is none.
    /// @param offer its id
    /// @return the whole offer
    function offerOf(uint40 offer) external view returns (Offer memory);

    /// @notice The account's free balance: what it could withdraw now.
    /// @param account whose account it is
    /// @return token base units
    function balanceOf(address account) external view returns (uint256);

    /// @notice What a delegate may still spend, and until when.
    /// @param account whose money it is
    /// @param delegate who may sign
    /// @return left token base units
    /// @return until the first second, in Unix time, at which it may not any more
    function budgetOf(address account, address delegate) external view returns (uint128 left, uint40 until);

    /// @notice Who gets the lease's income; 0 unless it is live.
    /// @param id the order's id
    /// @return who is paid next
    function payeeOf(bytes32 id) external view returns (address);

    /// @notice Cumulative token units paid, and GPU-seconds paid for, of a class. Both wrap around.
    /// Warning: informational. Self-trading moves it for the price of gas: settle nothing on it alone.
    /// @param class the GPUs' class, as the catalogue numbers them
    /// @return paid token base units
    /// @return gpuSeconds GPUs times seconds
    function volumeOf(uint8 class) external view returns (uint128 paid, uint128 gpuSeconds);

    /// @notice The one settlement token.
    /// @return address of the token's contract
    function token() external view returns (address);

    /// @notice Seconds after the opening in which a provider may decline.
    /// @return seconds
    function START_GRACE() external view returns (uint256);

    /// @notice Seconds after the last metered one in which a provider may still claim.
    /// @return seconds
    function CLAIM_GRACE() external view returns (uint256);

    /// @notice Seconds after a claim in which the client's side may object.
    /// @return seconds
    function CHALLENGE_WINDOW() external view returns (uint256);

    /// @notice Seconds after a dispute in which the arbiter may rule.
    /// @return seconds
    function RULING_WINDOW() external view returns (uint256);

    /// @notice The smallest bond of any lease, in token base units.
    /// @return token base units
    function BOND_FLOOR() external view returns (uint256);
}
