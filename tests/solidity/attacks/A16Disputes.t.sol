// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A16: disputes as a weapon. From Open or from Claimed, by the client or by its acceptor, won, lost or lapsed: the twelve cases, to the unit of
/// the exit table; and what arbiters cannot do.
contract DisputesAttack is AttackTest {
    uint32 private constant USED = 1_000;
    uint32 private constant RULED = 400;

    enum Ending {
        ProviderAtFault,
        ProviderRight,
        Lapse
    }

    function setUp() public override {
        super.setUp();
        deposit(acceptor, 1_000 * DOLLAR);
    }

    // --------------------------------------------------------------------------------------------------------------------------- the twelve cases

    /// @notice A16: a client that disputes an open lease, and is right, loses what was ruled and wins half of the bond.
    function testA16OpenByTheClientProviderAtFault() external {
        assertCase(false, false, Ending.ProviderAtFault);
    }

    /// @notice A16: a client that disputes an open lease without cause pays what was ruled and its stake.
    function testA16OpenByTheClientProviderRight() external {
        assertCase(false, false, Ending.ProviderRight);
    }

    /// @notice A16: a client that disputes an open lease before a silent arbiter pays half of the time, and gets its stake back.
    function testA16OpenByTheClientLapse() external {
        assertCase(false, false, Ending.Lapse);
    }

    /// @notice A16: an acceptor that disputes an open lease, and is right, wins with its own stake.
    function testA16OpenByTheAcceptorProviderAtFault() external {
        assertCase(false, true, Ending.ProviderAtFault);
    }

    /// @notice A16: an acceptor that disputes an open lease without cause loses its own stake, not the client's money.
    function testA16OpenByTheAcceptorProviderRight() external {
        assertCase(false, true, Ending.ProviderRight);
    }

    /// @notice A16: an acceptor that disputes an open lease before a silent arbiter gets its stake back.
    function testA16OpenByTheAcceptorLapse() external {
        assertCase(false, true, Ending.Lapse);
    }

    /// @notice A16: a client that disputes a claim, and is right, loses what was ruled and wins half of the bond.
    function testA16ClaimedByTheClientProviderAtFault() external {
        assertCase(true, false, Ending.ProviderAtFault);
    }

    /// @notice A16: a client that disputes a claim without cause pays what was ruled and its stake.
    function testA16ClaimedByTheClientProviderRight() external {
        assertCase(true, false, Ending.ProviderRight);
    }

    /// @notice A16: a client that disputes a claim before a silent arbiter pays half of the claim, and gets its stake back.
    function testA16ClaimedByTheClientLapse() external {
        assertCase(true, false, Ending.Lapse);
    }

    /// @notice A16: an acceptor that disputes a claim, and is right, wins with its own stake.
    function testA16ClaimedByTheAcceptorProviderAtFault() external {
        assertCase(true, true, Ending.ProviderAtFault);
    }

    /// @notice A16: an acceptor that disputes a claim without cause loses its own stake, not the client's money.
    function testA16ClaimedByTheAcceptorProviderRight() external {
        assertCase(true, true, Ending.ProviderRight);
    }

    /// @notice A16: an acceptor that disputes a claim before a silent arbiter gets its stake back.
    function testA16ClaimedByTheAcceptorLapse() external {
        assertCase(true, true, Ending.Lapse);
    }

    // ------------------------------------------------------------------------------------------------------------------------------- what it costs

    /// @notice A16: nobody disputes without the stake in its own balance; the client's is not taken for the acceptor's.
    function testA16NoStakeNoDispute() external {
        Order memory order = serve(aFreeOrder(1));
        skip(START_GRACE);
        withdrawAll(acceptor);
        vm.prank(acceptor);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarket.BalanceTooLow.selector, acceptor, bond(order), uint256(0))
        );
        market.dispute(order);

        assertStatus(order, Status.Open, "still open");
    }

    /// @notice A16: a client that disputes everything without cause pays a bond for each, which the provider and the arbiter share.
    function testA16DisputingEverythingCostsABondEach() external {
        for (uint256 i = 0; i < 8; ++i) {
            serve(aFreeOrder(i));
        }
        skip(USED);
        for (uint256 i = 0; i < 8; ++i) {
            dispute(served[i]);
            rule(served[i], USED, false);
        }

        uint256 stake = bond(served[0]);
        uint256 paid = 8 * earned(served[0], USED);
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR - paid - 8 * stake, "the client");
        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + paid + 8 * (stake - stake / 2), "the provider");
        assertExact();
    }

    /// @notice A16: a dispute never keeps GPUs from the market: they are free as soon as it begins.
    function testA16ADisputeFreesTheGpus() external {
        Order memory whole = aFreeOrder(1);
        whole.gpus = GPUS;
        serve(whole);
        skip(START_GRACE);
        vm.assertEq(market.offerOf(offer).free, 0, "taken");
        dispute(whole);

        vm.assertEq(market.offerOf(offer).free, GPUS, "free");
        whole.salt = 2;
        serve(whole);
        assertCapacity();
    }

    /// @notice A16: a client that disputes a term lease at once, before an arbiter that stays silent, owes half of what it guaranteed: the dispute voids
    /// no guarantee.
    function testA16ADisputeVoidsNoGuarantee() external {
        Order memory order = aFreeOrder(1);
        (order.maxSeconds, order.minSeconds) = (30 days, 20 days);
        deposit(client, 2_000 * DOLLAR);
        serve(order);
        skip(START_GRACE);
        dispute(order);
        skip(RULING_WINDOW);
        market.lapse(order);

        uint256 paid = earned(order, 10 days);
        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + paid, "half of what was guaranteed");
        vm.assertEq(market.balanceOf(client), 3_000 * DOLLAR - paid, "out of the client's");
        assertExact();
    }

    /// @notice A16: nobody else can have a provider slashed: not a stranger, the opener, the arbiter, the payee or the provider itself.
    function testA16NobodyElseDisputes() external {
        Order memory order = serve(aFreeOrder(1));
        assign(order, provider, payee);
        skip(START_GRACE);
        address[5] memory others = [stranger, opener, arbiter, payee, provider];
        for (uint256 i = 0; i < others.length; ++i) {
            deposit(others[i], 10 * DOLLAR);
            vm.assertFalse(attempt(others[i], abi.encodeCall(market.dispute, (order))), "not a side of it");
        }
    }

    /// @notice A16: a lease is disputed once.
    function testA16NoSecondDispute() external {
        Order memory order = serve(aFreeOrder(1));
        skip(START_GRACE);
        dispute(order);
        vm.assertFalse(attempt(acceptor, abi.encodeCall(market.dispute, (order))), "by the acceptor");
        vm.assertFalse(attempt(client, abi.encodeCall(market.dispute, (order))), "or again");
        assertExact();
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ arbiters

    /// @notice A16: an arbiter that colludes with the provider gives it no more than what was claimed, or was guaranteed.
    function testA16ArbiterCannotOverpay() external {
        Order memory order = serve(aFreeOrder(1));
        skip(START_GRACE);
        dispute(order);
        vm.prank(arbiter);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarket.SecondsOutOfBounds.selector, START_GRACE + 1, 0, START_GRACE)
        );
        market.rule(order, uint32(START_GRACE + 1), false);
    }

    /// @notice A16: against a provider at fault not even the guaranteed seconds can be ruled beyond the claim.
    function testA16ArbiterCannotRewardAFault() external {
        Order memory order = aFreeOrder(1);
        order.minSeconds = 2_000;
        serve(order);
        skip(START_GRACE);
        dispute(order);
        bytes memory guaranteed = abi.encodeCall(market.rule, (order, 2_000, true));
        vm.assertFalse(attempt(arbiter, guaranteed), "not to a provider at fault");
        rule(order, 2_000, false);

        vm.assertEq(leaseOf(order).paidSeconds, 2_000, "but to one that is right");
    }

    /// @notice A16: an arbiter that colludes with the client takes back nothing that was paid.
    function testA16ArbiterCannotTakeBack() external {
        Order memory order = serve(aFreeOrder(1));
        skip(START_GRACE);
        pay(order, 800);
        dispute(order);
        rule(order, 0, true);

        vm.assertEq(leaseOf(order).paidSeconds, 800, "paid is paid");
        vm.assertEq(
            market.balanceOf(provider), 1_000 * DOLLAR + earned(order, 800) - bond(order), "it loses its bond only"
        );
        assertExact();
    }

    /// @notice A16: an arbiter earns the same whoever it finds for, and only where somebody disputed.
    function testA16ArbiterEarnsTheSameEitherWay() external {
        serve(aFreeOrder(1));
        serve(aFreeOrder(2));
        vm.assertFalse(attempt(arbiter, abi.encodeCall(market.rule, (served[0], 0, true))), "nobody disputed");
        skip(START_GRACE);
        dispute(served[0]);
        dispute(served[1]);
        rule(served[0], 0, true);
        uint256 fee = market.balanceOf(arbiter);
        rule(served[1], 0, false);

        vm.assertEq(market.balanceOf(arbiter), 2 * fee, "the same");
        vm.assertEq(fee, bond(served[0]) / 2, "half of a stake");
    }

    /// @notice A16: an arbiter rules once.
    function testA16ArbiterRulesOnce() external {
        Order memory order = serve(aFreeOrder(1));
        skip(START_GRACE);
        dispute(order);
        rule(order, 0, true);
        vm.assertFalse(attempt(arbiter, abi.encodeCall(market.rule, (order, 0, false))), "once");
    }

    /// @notice A16: the arbiter of one offer does not rule on another's leases, and a provider is never its own arbiter.
    function testA16OnlyTheNamedArbiterRules() external {
        Order memory order = serve(aFreeOrder(1));
        skip(START_GRACE);
        dispute(order);
        address[6] memory others = [client, provider, acceptor, stranger, opener, payee];
        for (uint256 i = 0; i < others.length; ++i) {
            vm.assertFalse(attempt(others[i], abi.encodeCall(market.rule, (order, 0, true))), "not the arbiter");
        }
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.WrongArbiter.selector, provider));
        market.list(CLASS, GPUS, BOND_BPS, PRICE, 60, uint40(NOW + 1 days), provider, "");
    }

    /// @notice A16: a client that is its offer's arbiter cannot take more than the bond: what the provider agreed to by listing it.
    function testA16ClientThatIsTheArbiter() external {
        vm.prank(provider);
        offer = market.list(CLASS, GPUS, BOND_BPS, PRICE, 60, uint40(NOW + 1 days), client, "");
        Order memory order = aFreeOrder(1);
        order.arbiter = client;
        serve(order);
        skip(START_GRACE);
        dispute(order);
        vm.prank(client);
        market.rule(order, 0, true);

        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR - bond(order), "the bond, and no more");
        assertExact();
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ the table

    function assertCase(bool fromClaim, bool byAcceptor, Ending ending) private {
        Order memory order = serve(aFreeOrder(1));
        skip(USED);
        if (fromClaim) claim(order, USED);
        address disputer = byAcceptor ? acceptor : client;
        vm.prank(disputer);
        market.dispute(order);
        assertExact();
        if (ending == Ending.Lapse) {
            skip(RULING_WINDOW);
            market.lapse(order);
        } else {
            rule(order, RULED, ending == Ending.ProviderAtFault);
        }

        uint256 start = 1_000 * DOLLAR;
        uint256 stake = bond(order);
        uint256 paid = earned(order, ending == Ending.Lapse ? USED / 2 : RULED);
        uint256 won = stake - stake / 2;
        uint256[2] memory gains =
            ending == Ending.Lapse ? [uint256(0), 0] : ending == Ending.ProviderAtFault ? [won, 0] : [uint256(0), won];
        uint256[2] memory losses = ending == Ending.Lapse
            ? [uint256(0), 0]
            : ending == Ending.ProviderAtFault ? [uint256(0), stake] : [stake, 0];
        vm.assertEq(market.balanceOf(disputer), start - (byAcceptor ? 0 : paid) + gains[0] - losses[0], "who disputed");
        if (byAcceptor) vm.assertEq(market.balanceOf(client), start - paid, "the client pays for the time only");
        vm.assertEq(market.balanceOf(provider), start + paid + gains[1] - losses[1], "the provider");
        vm.assertEq(market.balanceOf(arbiter), ending == Ending.Lapse ? 0 : stake / 2, "the arbiter");
        assertStatus(order, Status.Closed, "closed");
        assertCapacity();
        assertExact();
    }
}
