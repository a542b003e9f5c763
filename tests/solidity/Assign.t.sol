// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {LedgerTest} from "./LedgerTest.sol";

/// @notice Moving the right to a lease's future income: factoring.
contract AssignTest is LedgerTest {
    Order internal order;
    bytes32 internal id;

    function setUp() public override {
        super.setUp();
        order = anOrder();
        id = open(order);
    }

    // ------------------------------------------------------------------------------------------------------------------------------ what it does

    /// @notice Exit table: the provider moves the income of an open lease; nothing else moves.
    function testAssignMovesTheRight() external {
        remember();

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseAssigned(id, provider, lender);
        assignAs(provider, order, lender);

        assertLedger();
        vm.assertEq(market.payeeOf(id), lender, "the new payee");
        vm.assertTrue(leaseOf(order).assigned, "assigned");
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "still open");
        vm.assertEq(market.offerOf(offer).free, GPUS - order.gpus, "the GPUs stay taken");
    }

    /// @notice The payee moves it on, and the provider has no say in it any more.
    function testThePayeeMovesItOn() external {
        assignAs(provider, order, lender);

        vm.expectEmit(address(market));
        emit IComputeMarket.LeaseAssigned(id, lender, stranger);
        assignAs(lender, order, stranger);

        vm.assertEq(market.payeeOf(id), stranger, "the new payee");
        assertAssignReverts(lender, stranger, notPayee(lender, stranger));
        assertAssignReverts(provider, provider, notPayee(provider, stranger));
    }

    /// @notice A payee gives the income back to the provider, which may assign it again.
    function testTheIncomeGoesBackToTheProvider() external {
        assignAs(provider, order, lender);
        assignAs(lender, order, provider);
        vm.assertEq(market.payeeOf(id), provider, "back");

        assignAs(provider, order, stranger);
        vm.assertEq(market.payeeOf(id), stranger, "and away again");
    }

    /// @notice Income is assigned in every live state.
    function testAssignInClaimedAndDisputed() external {
        skip(1_000);
        claim(order, 500);
        assignAs(provider, order, lender);
        vm.assertEq(market.payeeOf(id), lender, "claimed");

        disputeAs(client, order);
        assignAs(lender, order, stranger);
        vm.assertEq(market.payeeOf(id), stranger, "disputed");
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Disputed), "still disputed");
        vm.assertEq(leaseOf(order).claimedSeconds, 500, "the rest of the word stays");
    }

    /// @notice The payee of one lease is nobody in another of the same provider.
    function testALeaseIsAssignedForItself() external {
        assignAs(provider, order, lender);
        order.salt = 2;
        bytes32 other = open(order);

        vm.assertEq(market.payeeOf(other), provider, "the provider's");
    }

    // ------------------------------------------------------------------------------------------------------------------------------ where it goes

    /// @notice Exit table, settle progress: what is paid from the assignment on is the payee's, what was paid before stays the provider's.
    function testProgressGoesToThePayee() external {
        skip(1_000);
        remember();
        pay(order, 100);
        assignAs(provider, order, lender);
        pay(order, 300);

        credit(provider, earned(order, 100));
        credit(lender, earned(order, 300) - earned(order, 100));
        assertLedger();
    }

    /// @notice Exit table, settle last: the payee gets the income, the provider its bond.
    function testTheLastReceiptPaysThePayee() external {
        skip(1_000);
        assignAs(provider, order, lender);
        remember();

        settle(aSettlement(order, 700, true));

        credit(lender, earned(order, 700));
        credit(provider, bond(order));
        credit(client, total(order) - earned(order, 700));
        assertClosed(order, 0, 700);
    }

    /// @notice Exit table, terminate: the payee gets the income, the provider its bond.
    function testTerminatePaysThePayee() external {
        skip(1_000);
        assignAs(provider, order, lender);
        remember();

        vm.prank(client);
        market.terminate(order);

        credit(lender, earned(order, 1_000));
        credit(provider, bond(order));
        credit(client, total(order) - earned(order, 1_000));
        assertClosed(order, 0, 1_000);
    }

    /// @notice Exit table, finalize: the payee gets the income, the provider its bond.
    function testFinalizePaysThePayee() external {
        skip(1_000);
        claim(order, 900);
        assignAs(provider, order, lender);
        skip(CHALLENGE_WINDOW);
        remember();

        finalize(order);

        credit(lender, earned(order, 900));
        credit(provider, bond(order));
        credit(client, total(order) - earned(order, 900));
        assertClosed(order, 0, 900);
    }

    /// @notice Exit table, decline: the payee keeps what it was paid, and it comes out of the provider's bond (P-23).
    function testDeclineLeavesThePayeeItsIncome() external {
        assignAs(provider, order, lender);
        pay(order, MIN_SECONDS);
        remember();

        vm.prank(provider);
        market.decline(order);

        credit(provider, bond(order) - earned(order, MIN_SECONDS));
        credit(client, total(order));
        assertLedger();
        vm.assertEq(market.balanceOf(lender), earned(order, MIN_SECONDS), "kept");
        vm.assertEq(market.payeeOf(id), address(0), "no payee");
    }

    /// @notice Exit table, expire: the payee keeps what it was paid, and gets no more; the bond is the provider's.
    function testExpireLeavesThePayeeItsIncome() external {
        assignAs(provider, order, lender);
        pay(order, MIN_SECONDS);
        skip(MAX_SECONDS + CLAIM_GRACE);
        remember();

        market.expire(order);

        credit(client, total(order) - earned(order, MIN_SECONDS) + bond(order));
        assertClosed(order, MIN_SECONDS, MIN_SECONDS);
        vm.assertEq(market.balanceOf(lender), earned(order, MIN_SECONDS), "kept");
    }

    /// @notice Exit table, rule: the payee gets the income, the bonds are the provider's business.
    function testRulePaysThePayee(bool atFault) external {
        skip(1_000);
        assignAs(provider, order, lender);
        disputeAs(client, order);
        remember();

        rule(order, 600, atFault);

        credit(lender, earned(order, 600));
        credit(atFault ? client : provider, 2 * bond(order) - bond(order) / 2);
        credit(arbiter, bond(order) / 2);
        credit(client, total(order) - earned(order, 600));
        assertClosed(order, 0, 600);
    }

    /// @notice Exit table, lapse: the payee gets half of the disputed seconds, the provider its bond.
    function testLapsePaysThePayee() external {
        skip(1_000);
        disputeAs(client, order);
        assignAs(provider, order, lender);
        skip(RULING_WINDOW);
        remember();

        lapse(order);

        credit(lender, earned(order, 500));
        credit(provider, bond(order));
        credit(client, total(order) - earned(order, 500) + bond(order));
        assertClosed(order, 0, 500);
    }

    /// @notice P-24: a second serving pays its own provider; whoever the first was assigned to gets nothing of it.
    function testAStalePayeeGetsNothing() external {
        assignAs(provider, order, lender);
        vm.prank(provider);
        market.decline(order);
        vm.assertEq(market.payeeOf(id), address(0), "no payee");
        skip(1);
        open(order);
        vm.assertEq(market.payeeOf(id), provider, "the provider again");
        vm.assertFalse(leaseOf(order).assigned, "not assigned");
        assertAssignReverts(lender, lender, notPayee(lender, provider));
        skip(1_000);
        remember();

        settle(aSettlement(order, 700, true));

        credit(provider, earned(order, 700) + bond(order));
        credit(client, total(order) - earned(order, 700));
        assertClosed(order, 0, 700);
    }

    /// @notice P-07: a payee that is the client pays itself.
    function testAPayeeThatIsTheClient() external {
        skip(1_000);
        assignAs(provider, order, client);
        remember();

        settle(aSettlement(order, 700, true));

        credit(client, total(order));
        credit(provider, bond(order));
        assertClosed(order, 0, 700);
    }

    /// @notice P-07: a payee that is the arbiter gets income and its part of the loser's stake.
    function testAPayeeThatIsTheArbiter() external {
        skip(1_000);
        assignAs(provider, order, arbiter);
        disputeAs(client, order);
        remember();

        rule(order, 600, true);

        credit(arbiter, earned(order, 600) + bond(order) / 2);
        credit(client, 2 * bond(order) - bond(order) / 2 + total(order) - earned(order, 600));
        assertClosed(order, 0, 600);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ errors

    /// @notice Nobody but the payee assigns: not the client's side, not an opener, not a stranger.
    function testAssignByAnybodyElseReverts() external {
        address[5] memory others = [client, acceptor, opener, arbiter, stranger];
        for (uint256 i = 0; i < 5; ++i) {
            assertAssignReverts(others[i], others[i], notPayee(others[i], provider));
        }
    }

    /// @notice Income goes to somebody.
    function testAssignToNobodyReverts() external {
        assertAssignReverts(provider, address(0), abi.encodeWithSelector(IComputeMarket.ZeroAccount.selector));
    }

    /// @notice Income that went to the market itself would belong to nobody.
    function testAssignToTheMarketReverts() external {
        bytes memory reason = abi.encodeWithSelector(IComputeMarket.PaidToMarket.selector);
        assertAssignReverts(provider, address(market), reason);

        assignAs(provider, order, lender);
        assertAssignReverts(lender, address(market), reason);
    }

    /// @notice A lease that is not live has no income to come.
    function testAssignOfALeaseThatIsNotLiveReverts() external {
        settle(aSettlement(order, 1, true));
        assertAssignReverts(
            provider, lender, abi.encodeWithSelector(IComputeMarket.NotLive.selector, id, Status.Closed)
        );

        order.salt = 2;
        id = market.orderId(order);
        bytes memory never = abi.encodeWithSelector(IComputeMarket.NotLive.selector, id, Status.None);
        assertAssignReverts(provider, lender, never);
        open(order);
        vm.prank(provider);
        market.decline(order);
        assertAssignReverts(provider, lender, never);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    function notPayee(address caller, address payee) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IComputeMarket.NotPayee.selector, caller, payee);
    }

    function assertAssignReverts(address sender, address payee, bytes memory reason) private {
        vm.prank(sender);
        vm.expectRevert(reason);
        market.assign(order, payee);
    }
}
