// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A17: tricks with the right to a lease's income. The payee gets the income of one serving, from the assignment on; never bonds or stakes.
contract PayeesAttack is AttackTest {
    Order private order;

    function setUp() public override {
        super.setUp();
        order = serve(aFreeOrder(1));
    }

    /// @notice A17: at settle, the income is the payee's, the bond the provider's.
    function testA17PayeeAtSettle() external {
        sell();
        skip(1_000);
        settle(aSettlement(order, 1_000, true));
        assertShares(earned(order, 1_000), 0);
    }

    /// @notice A17: at terminate, the income is the payee's, the bond the provider's.
    function testA17PayeeAtTerminate() external {
        sell();
        skip(1_000);
        terminate(order);
        assertShares(earned(order, 1_000), 0);
    }

    /// @notice A17: at finalize, the income is the payee's, the bond the provider's.
    function testA17PayeeAtFinalize() external {
        sell();
        skip(1_000);
        claim(order, 800);
        skip(CHALLENGE_WINDOW);
        finalize(order);
        assertShares(earned(order, 800), 0);
    }

    /// @notice A17: at a ruling, the income is the payee's; the bond is lost or won by the provider alone.
    function testA17PayeeAtARuling() external {
        sell();
        skip(1_000);
        dispute(order);
        uint256 state = vm.snapshotState();
        rule(order, 700, true);
        assertShares(earned(order, 700), -int256(bond(order)));
        vm.revertToState(state);

        rule(order, 700, false);
        assertShares(earned(order, 700), int256(bond(order) - bond(order) / 2));
    }

    /// @notice A17: at a lapse, the income is the payee's, the bond the provider's.
    function testA17PayeeAtALapse() external {
        sell();
        skip(1_000);
        dispute(order);
        skip(RULING_WINDOW);
        market.lapse(order);
        assertShares(earned(order, 500), 0);
    }

    /// @notice A17: at an expiry, the payee keeps what it was paid and gets nothing more; the bond compensates the client.
    function testA17PayeeAtAnExpiry() external {
        sell();
        skip(600);
        pay(order, 600);
        skip(MAX_SECONDS + CLAIM_GRACE);
        market.expire(order);
        uint256 lost = bond(order) < total(order) ? bond(order) : total(order);
        assertShares(earned(order, 600), -int256(lost));
    }

    /// @notice A17: at a decline, the payee keeps what it was paid, and the provider's bond gives it back to the client.
    function testA17PayeeAtADecline() external {
        sell();
        pay(order, MIN_SECONDS);
        decline(order);
        assertShares(earned(order, MIN_SECONDS), -int256(earned(order, MIN_SECONDS)));
        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR, "the client has everything back");
    }

    /// @notice A17: what was paid before the assignment stays the provider's; what comes after is the payee's.
    function testA17IncomeBeforeAndAfter() external {
        skip(1_000);
        pay(order, 300);
        sell();
        settle(aSettlement(order, 1_000, true));
        assertShares(earned(order, 1_000) - earned(order, 300), int256(earned(order, 300)));
    }

    /// @notice A17: a chain of payees: only the last one is paid, and only it could have passed it on.
    function testA17ChainOfPayees() external {
        sell();
        assign(order, payee, stranger);
        vm.assertFalse(attempt(payee, abi.encodeCall(market.assign, (order, payee))), "the payee sold it");
        assign(order, stranger, acceptor);
        skip(1_000);
        settle(aSettlement(order, 1_000, true));

        vm.assertEq(market.balanceOf(acceptor), earned(order, 1_000), "the last one");
        vm.assertEq(market.balanceOf(payee) + market.balanceOf(stranger), 0, "nobody before");
    }

    /// @notice A17: income that is assigned back to the provider is the provider's again.
    function testA17AssignedBack() external {
        sell();
        assign(order, payee, provider);
        skip(1_000);
        settle(aSettlement(order, 1_000, true));

        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + earned(order, 1_000), "the provider's");
    }

    /// @notice A17: income that is assigned to the client makes the lease cost it nothing, and the books stay exact.
    function testA17AssignedToTheClient() external {
        assign(order, provider, client);
        skip(1_000);
        settle(aSettlement(order, 1_000, true));

        vm.assertEq(market.balanceOf(client), 1_000 * DOLLAR, "it paid itself");
        assertExact();
    }

    /// @notice A17: a payee has no say: it can neither claim, decline nor settle in the provider's place.
    function testA17PayeeHasNoSay() external {
        sell();
        skip(600);
        vm.assertFalse(attempt(payee, abi.encodeCall(market.claim, (order, 600, RESULT))), "no claim");
        vm.assertFalse(attempt(payee, abi.encodeCall(market.decline, (order))), "no decline");
        Settlement memory settlement = aSettlement(order, 600, true);
        settlement.providerSignature = "";
        settleAs(payee, settlement);

        assertStatus(order, Status.Open, "no receipt");
    }

    /// @notice A17: nothing is assigned of a lease that is over, to nobody, or to the market, where the income would be nobody's.
    function testA17NothingToAssign() external {
        vm.prank(provider);
        vm.expectRevert(IComputeMarket.PaidToMarket.selector);
        market.assign(order, address(market));
        vm.prank(provider);
        vm.expectRevert(IComputeMarket.ZeroAccount.selector);
        market.assign(order, address(0));
        terminate(order);
        bytes32 id = market.orderId(order);
        vm.prank(provider);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotLive.selector, id, Status.Closed));
        market.assign(order, payee);

        vm.assertEq(market.payeeOf(id), address(0), "nobody is paid any more");
    }

    function sell() private {
        assign(order, provider, payee);
    }

    /// What the payee has, and what the provider gained or lost.
    function assertShares(uint256 income, int256 gain) private view {
        vm.assertEq(market.balanceOf(payee), income, "the payee's income");
        vm.assertEq(market.balanceOf(provider), uint256(int256(1_000 * DOLLAR) + gain), "the provider's");
        assertExact();
        assertCapacity();
    }
}
