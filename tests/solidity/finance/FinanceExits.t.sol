// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {BackstopTest} from "./BackstopTest.sol";

/// @notice "What is really safe", measured: the month of 5,066.67 dollars at every exit, its provider a pledged company under an arbiter with a backstop.
/// The rows by which a provider that is a key pays its payee nothing are refused here.
contract FinanceExitsTest is BackstopTest {
    Order internal order;
    uint256 internal companyBefore;
    uint256 internal clientBefore;

    function setUp() public override {
        super.setUp();
        companyBefore = market.balanceOf(address(spv));
        clientBefore = market.balanceOf(client);
        order = pledgedMonth(100_000 * DOLLAR);
    }

    /// @notice The sums of the page, to the cent: T, B, and what is guaranteed.
    function testTheMonthIsThePages() external view {
        vm.assertEq(total(order) / 10_000, 506_666, "T");
        vm.assertEq(bond(order) / 10_000, 101_333, "B");
        vm.assertEq(earned(order, GUARANTEED) / 10_000, 337_777, "E(min)");
    }

    /// @notice Terminated before anything was served: what was guaranteed.
    function testTerminatedAtOnce() external {
        terminate();

        assertPaid(earned(order, GUARANTEED));
    }

    /// @notice Terminated on day 25: what had elapsed.
    function testTerminatedOnDay25() external {
        skip(25 days);
        terminate();

        assertPaid(earned(order, 25 days));
    }

    /// @notice Claimed in full and finalized: all of it.
    function testClaimedInFull() external {
        skip(MONTH);
        claimAs(operator, order, MONTH);
        skip(CHALLENGE_WINDOW);
        finalize(order);

        assertPaid(earned(order, MONTH));
    }

    /// @notice A claim of 0 once the guarantee has passed: refused, where a key's is paid 0.
    function testAClaimOfNothingIsRefused() external {
        skip(GUARANTEED);

        expectBelow(0, GUARANTEED);
        claimAs(operator, order, 0);
    }

    /// @notice A last receipt over 0 seconds: refused at any second, where a key's and its client's closes the lease for 0.
    function testAReceiptOverNothingIsRefused(uint32 wait) external {
        skip(bound(wait, 0, MONTH + CLAIM_GRACE - 1));
        settle(agreed(order, 0));

        assertStatus(order, Status.Open, "still open");
    }

    /// @notice A silent operator: anybody claims all of it, where a silent key's client is refunded, and compensated.
    function testASilentOperator() external {
        skip(MONTH + CLAIM_GRACE - 1);
        vm.prank(stranger);
        spv.claimDue(order);
        skip(CHALLENGE_WINDOW);
        finalize(order);

        assertPaid(earned(order, MONTH));
    }

    /// @notice Disputed 15 minutes after the start and nobody rules: all that was guaranteed, the client's stake too, where a lapse pays half.
    function testDisputedAndTheArbiterIsSilent() external {
        skip(START_GRACE);
        dispute(order);
        toTheStep();
        backstop.backstop(order);

        uint256 stake = bond(order);
        assertSums(earned(order, GUARANTEED), 2 * stake - stake / 2, stake);
    }

    /// @notice Nobody even calls the backstop: half of what was guaranteed, as the market itself splits it.
    function testDisputedAndEverybodyIsSilent() external {
        skip(START_GRACE);
        dispute(order);
        skip(RULING_WINDOW);
        market.lapse(order);

        assertPaid(earned(order, GUARANTEED / 2));
    }

    /// @notice Ruled 0, provider at fault: nothing, and the bond is the client's but for the arbiter's half.
    function testRuledAtFault() external {
        skip(START_GRACE);
        dispute(order);
        ruleAs(panel, order, 0, true);

        vm.assertEq(market.balanceOf(address(spv)), companyBefore - bond(order), "the company");
        vm.assertEq(market.balanceOf(client), clientBefore + bond(order) - bond(order) / 2, "the client");
    }

    /// @notice Ruled minSeconds, not at fault: what was guaranteed, and the client's stake but for the arbiter's half.
    function testRuledNotAtFault() external {
        skip(START_GRACE);
        dispute(order);
        ruleAs(panel, order, GUARANTEED, false);

        uint256 stake = bond(order);
        assertSums(earned(order, GUARANTEED), 2 * stake - stake / 2, stake);
    }

    /// @notice What a progress receipt paid is never taken back: six days stay the company's at the worst exits there are.
    function testPaidIsFinal() external {
        pay(order, 6 days);
        uint256 state = vm.snapshotState();
        skip(START_GRACE);
        dispute(order);
        ruleAs(panel, order, 0, true);
        vm.assertEq(market.balanceOf(address(spv)), companyBefore - bond(order) + earned(order, 6 days), "ruled");

        vm.revertToState(state);
        skip(MONTH + CLAIM_GRACE);
        market.expire(order);
        vm.assertEq(market.balanceOf(address(spv)), companyBefore - bond(order) + earned(order, 6 days), "expired");
    }

    /// @notice The creditor takes it out to the unit, and the owner nothing meanwhile.
    function testTheCreditorTakesIt() external {
        terminate();
        expectPledged();
        vm.prank(owner);
        spv.withdraw(1);
        vault.pay(spv, companyBefore + earned(order, GUARANTEED));

        vm.assertEq(dollar.balanceOf(address(vault)), companyBefore + earned(order, GUARANTEED), "all");
    }

    function terminate() private {
        vm.prank(client);
        market.terminate(order);
    }

    /// @notice The company got its bond back and this income; the client the rest of T.
    function assertPaid(uint256 income) private view {
        assertSums(income, bond(order), 0);
    }

    function assertSums(uint256 income, uint256 stakes, uint256 lost) private view {
        uint256 locked = companyBefore - bond(order);
        vm.assertEq(market.balanceOf(address(spv)) - locked, income + stakes, "the company's");
        vm.assertEq(market.balanceOf(client), clientBefore - income - lost, "the client's");
        assertStatus(order, Status.Closed, "closed");
    }
}
