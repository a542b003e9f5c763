// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {IAdvanceRules} from "../../../contracts/finance/interfaces/IAdvanceRules.sol";
import {IAdvanceVault, Loan, LoanState, Survey, Terms} from "../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {ITestDollar} from "../MarketTest.sol";
import {FeeDollar} from "./BlacklistingDollar.sol";
import {VaultTest} from "./VaultTest.sol";

/// @notice The life of a loan, verb by verb, to the unit.
contract VaultLendingTest is VaultTest {
    // -------------------------------------------------------------------------------------------------------------------------------------- draw

    /// @notice A draw pays all but the reserve, pledges the company, and changes no price.
    function testADrawPaysAndPledges() external {
        uint256 price = priceOfMillion();
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        Loan memory value = vault.loanOf(loan);

        vm.assertEq(vault.cash(), 19_000 * DOLLAR, "cash falls by all of it");
        vm.assertEq(value.reserve, 100 * DOLLAR, "a tenth is held back");
        vm.assertEq(spv.creditor(), address(vault), "the company is pledged");
        vm.assertEq(market.offerOf(offer).expiresAt, timestamp(), "F-3: its offers are over");
        vm.assertEq(vault.loanOn(market.orderId(order), leaseOf(order).openedAt), loan, "found by its serving");
        vm.assertEq(priceOfMillion(), price, "no lender gains or loses");
        vm.assertFalse(vault.isImpaired(), "and nothing is impaired");
        (uint256 owed, uint256 reserve, uint16 opexBps) = vault.debtOn(market.orderId(order), leaseOf(order).openedAt);
        vm.assertTrue(owed == 1_000 * DOLLAR && reserve == 100 * DOLLAR && opexBps == 3_000, "what the company is told");
        assertSolvent();
    }

    /// @notice V-7b: interest is simple, on principal, and what is owed is rounded up.
    function testInterestIsSimpleAndRoundedUp() external {
        (, uint256 loan) = lend(1_000 * DOLLAR);
        uint256 rate = vault.loanOf(loan).rateBps;
        skip(10 days + 1);
        uint256 exact = 1_000 * DOLLAR * rate * (10 days + 1);
        uint256 year = 10_000 * uint256(365 days);

        vm.assertEq(vault.owedOf(loan), 1_000 * DOLLAR + (exact + year - 1) / year, "to the unit");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ collect

    /// @notice The waterfall: running costs to the owner, the rest to the vault, interest first; F-2, F-5.
    function testIncomeIsSharedByTheWaterfall() external {
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        skip(1 days);
        pay(order, 2 days);
        uint256 income = earned(order, 2 days) - earned(order, 1 days);
        uint256 owed = vault.owedOf(loan);
        uint256 interest = owed - 1_000 * DOLLAR;
        (uint256 toVault, uint256 toOwner) = vault.collect(loan);

        vm.assertEq(toOwner, income * 3_000 / 10_000, "three tenths for power");
        vm.assertEq(toVault, income - toOwner, "the rest repays");
        vm.assertEq(vault.creditOf(owner), toOwner, "the owner may take it");
        vm.assertEq(vault.owedOf(loan), owed - toVault, "and owes that much less");
        vm.assertEq(vault.loanOf(loan).principal, 1_000 * DOLLAR - (toVault - interest), "interest first");
        vm.assertEq(market.balanceOf(address(spv)), 0, "the company has nothing");
        (toVault, toOwner) = vault.collect(loan);
        vm.assertEq(toVault + toOwner, 0, "of nothing, nothing");
        assertSolvent();
    }

    /// @notice Prepaid income repays at once; the owner's part of it waits in the company until it is served, and is the owner's then.
    function testTheOwnersPartOfAPrepaymentWaits() external {
        (Order memory order, uint256 loan) = lend(500 * DOLLAR);
        uint256 before = earned(order, 1 days);
        pay(order, 4 days);
        uint256 income = earned(order, 4 days) - before;
        uint256 price = priceOfMillion();
        (uint256 toVault, uint256 toOwner) = vault.collect(loan);
        uint256 held = income * 3_000 / 10_000 - toOwner;

        vm.assertEq(toOwner, (earned(order, 1 days + START_GRACE) - before) * 3_000 / 10_000, "for what was served");
        vm.assertEq(market.balanceOf(address(spv)), income - toVault - toOwner, "the rest is there");
        vm.assertTrue(
            toVault == income - toOwner - held || toVault == income - toOwner - held + 1, "all but that repays"
        );
        vm.assertEq(priceOfMillion(), price, "F-8: collecting changes no price");
        uint256 free = market.balanceOf(address(spv));
        (uint256 debt,,) = vault.debtOn(market.orderId(order), leaseOf(order).openedAt);
        vm.assertEq(debt, vault.owedOf(loan) + free * 7_000 / 10_000, "S-3: it does not count for the floor");
        skip(1 days);
        (, toOwner) = vault.collect(loan);
        vm.assertEq(
            toOwner, earnedBetween(order, 1 days + START_GRACE, 2 days + START_GRACE) * 3_000 / 10_000, "a day later"
        );
        vm.assertTrue(vault.coveredOf(loan) >= vault.owedOf(loan), "never counted as the lender's");
        assertSolvent();
    }

    function earnedBetween(Order memory order, uint256 from, uint256 to) private pure returns (uint256) {
        return earned(order, to) - earned(order, from);
    }

    /// @notice As soon as nothing is owed the rest is the owner's, reserve and cover go back, and the company is free.
    function testARepaidLoanReleasesEverything() external {
        Order memory order = serveMonth();
        cover(backer, order, 50 * DOLLAR);
        uint256 loan = draw(order, 100 * DOLLAR);
        skip(4 days);
        pay(order, 4 days);
        uint256 income = earned(order, 4 days);
        uint256 owed = vault.owedOf(loan);
        uint256 toBacker = (owed - 100 * DOLLAR) * 2_000 / 10_000;
        (uint256 toVault, uint256 toOwner) = vault.collect(loan);

        vm.assertEq(toVault, owed, "what was owed");
        vm.assertEq(toOwner, income - owed, "all the rest");
        vm.assertEq(vault.creditOf(owner), income - owed + 10 * DOLLAR, "and the reserve");
        vm.assertEq(vault.creditOf(backer), 50 * DOLLAR + toBacker, "the cover, and a fifth of the interest");
        vm.assertEq(spv.creditor(), address(0), "the company is free");
        vm.assertEq(vault.loans().length, 0, "its place is free");
        assertState(loan, LoanState.Repaid, "repaid");
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NothingOwed.selector, loan));
        vault.collect(loan);
        assertSolvent();
    }

    /// @notice Of each day's interest the backer has a fifth, and what it has adds up.
    function testTheBackersPartsAddUp() external {
        Order memory order = serveMonth();
        cover(backer, order, 50 * DOLLAR);
        skip(1 days);
        pay(order, 1 days);
        emptyCompany();
        uint256 loan = draw(order, 1_000 * DOLLAR);
        uint256 parts;
        for (uint32 day = 2; day <= 4; ++day) {
            skip(1 days);
            pay(order, day * 1 days);
            parts += (vault.owedOf(loan) - vault.loanOf(loan).principal) * 2_000 / 10_000;
            vault.collect(loan);
            vm.assertEq(vault.creditOf(backer), parts, "a fifth of all interest so far");
        }
        assertState(loan, LoanState.Drawn, "more is owed");
        assertSolvent();
    }

    /// @notice A bond that returns is income of nobody: no running costs are taken of it (V-7b).
    function testNoRunningCostsAreTakenOfABond() external {
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        skip(1 days);
        settle(agreed(order, GUARANTEED));
        uint256 income = earned(order, GUARANTEED) - earned(order, 1 days);
        uint256 free = income + bond(order);
        uint256 owed = vault.owedOf(loan);
        vm.assertEq(market.balanceOf(address(spv)), free, "income and bond");
        vault.collect(loan);

        vm.assertEq(
            vault.creditOf(owner), free - owed + 100 * DOLLAR, "the vault is whole, and the rest is the owner's"
        );
    }

    /// @notice S-4: who claims in the operator's stead has a thousandth of what that collects, a dollar at most, out of the owner's part.
    function testTheKeeperIsTipped() external {
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        finish(order, stranger);
        uint256 owed = vault.owedOf(loan);
        uint256 free = market.balanceOf(address(spv));
        (uint256 toVault, uint256 toOwner) = vault.collect(loan);

        vm.assertEq(vault.creditOf(stranger), DOLLAR, "a dollar");
        vm.assertEq(toVault, owed, "the vault is whole");
        vm.assertEq(toOwner, free - owed - DOLLAR, "the owner pays for it");
    }

    // -------------------------------------------------------------------------------------------------------------------------------------- repay

    /// @notice Anyone repays early; no more is taken than is owed.
    function testAnyoneRepaysEarly() external {
        (, uint256 loan) = lend(1_000 * DOLLAR);
        skip(1 days);
        uint256 owed = vault.owedOf(loan);
        dollar.mint(stranger, 2_000 * DOLLAR);
        vm.startPrank(stranger);
        dollar.approve(address(vault), 2_000 * DOLLAR);
        vault.repay(loan, uint112(400 * DOLLAR));
        vm.assertEq(vault.owedOf(loan), owed - 400 * DOLLAR, "a part");
        vault.repay(loan, type(uint112).max);
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NothingOwed.selector, loan));
        vault.repay(loan, 1);
        vm.stopPrank();

        vm.assertEq(dollar.balanceOf(stranger), 2_000 * DOLLAR - owed, "and the rest, to the unit");
        vm.assertEq(spv.creditor(), address(0), "the company is free");
        vm.assertEq(vault.creditOf(owner), 100 * DOLLAR, "the reserve is its owner's");
        assertSolvent();
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ resolve

    /// @notice F-12: a loss is the reserve's, then the cover's, then all shares' alike; and it is what the dispute had taken off the price.
    function testALossIsTheReservesThenTheCoversThenEverybodys() external {
        Order memory order = serveMonth();
        skip(1 days);
        pay(order, 1 days);
        emptyCompany();
        cover(backer, order, 200 * DOLLAR);
        uint256 loan = draw(order, 1_000 * DOLLAR);
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.StillLive.selector, market.orderId(order)));
        vault.resolve(loan);
        disputeNow(order);
        uint256 marked = vault.totalAssets();
        vm.assertEq(marked, 19_300 * DOLLAR, "cash, reserve and cover");
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.StillLive.selector, market.orderId(order)));
        vault.resolve(loan);
        rule(order, 0, true);
        uint256 owed = vault.owedOf(loan);
        uint256 written = vault.resolve(loan);

        vm.assertEq(written, owed - 300 * DOLLAR, "all but reserve and cover");
        vm.assertEq(vault.totalAssets(), marked, "F-8: the price had it from the dispute on");
        vm.assertEq(vault.creditOf(backer) + vault.creditOf(owner), 0, "neither gets anything back");
        vm.assertEq(vault.loanOf(loan).principal, written, "what could still be recovered");
        vm.assertEq(spv.creditor(), address(vault), "the company stays pledged");
        vm.assertFalse(vault.isImpaired(), "the loss is taken: one may enter again");
        assertState(loan, LoanState.WrittenOff, "written off");
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NothingOwed.selector, loan));
        vault.resolve(loan);
        assertSolvent();
    }

    /// @notice What the panel grants is collected first; what covers the rest leaves the remainder to whose it is.
    function testWhatWasGrantedIsCollectedFirst() external {
        Order memory order = serveMonth();
        skip(1 days);
        pay(order, 1 days);
        emptyCompany();
        cover(backer, order, 1_000 * DOLLAR);
        uint256 loan = draw(order, 1_000 * DOLLAR);
        skip(2 days);
        disputeNow(order);
        rule(order, 3 days, true);
        uint256 written = vault.resolve(loan);

        vm.assertEq(written, 0, "the cover is enough");
        assertState(loan, LoanState.Repaid, "repaid");
        vm.assertEq(spv.creditor(), address(0), "the company is free");
        vm.assertTrue(vault.creditOf(backer) > 0 && vault.creditOf(backer) < 1_000 * DOLLAR, "it lost a part");
        assertSolvent();
    }

    /// @notice A lease that ends well needs no resolving: it collects, and nothing is left to decide.
    function testResolvingAGoodLoanOnlyCollects() external {
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        vm.prank(client);
        market.terminate(order);
        vm.assertEq(vault.resolve(loan), 0, "nothing is written off");
        assertState(loan, LoanState.Repaid, "repaid");
        vm.assertFalse(vault.hasWriteOff(owner), "nothing stays with its owner");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ recover

    /// @notice What a written-off company earns is the shares', and counts from the second on that it is there; what is beyond is the owner's.
    function testAWrittenOffCompanyIsRecoveredFrom() external {
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        disputeNow(order);
        rule(order, 0, true);
        uint256 written = vault.resolve(loan);
        uint256 assets = vault.totalAssets();
        deposit(address(spv), 300 * DOLLAR);
        vm.assertEq(vault.totalAssets(), assets + 300 * DOLLAR, "who enters now pays for it");
        vault.recover(loan);
        vm.assertEq(vault.totalAssets(), assets + 300 * DOLLAR, "so that recovering moves no price");
        deposit(address(spv), written);
        vault.recover(loan);

        vm.assertEq(vault.totalAssets(), assets + written, "no more than was lost");
        vm.assertEq(vault.creditOf(owner), 300 * DOLLAR, "the rest is the owner's");
        vm.assertEq(spv.creditor(), address(0), "and the company is free");
        vm.assertTrue(vault.hasWriteOff(owner), "but its owner draws no more here");
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NothingOwed.selector, loan));
        vault.recover(loan);
        assertSolvent();
    }

    /// @notice A written-off company that has nothing gives up its place where it is needed, and can be recovered from all the same.
    function testAWrittenOffCompanyGivesUpItsPlace() external {
        Terms memory terms = someTerms();
        terms.maxLoans = 1;
        vault = deployVault(terms);
        enter(alice, 20_000 * DOLLAR);
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        disputeNow(order);
        rule(order, 0, true);
        vault.resolve(loan);
        address lost = address(spv);
        owner = vm.addr(0x0E2);
        spv = aCompany(owner, "next");
        offer = listAs(spv);
        uint256 next = draw(serveMonth(), DOLLAR);

        vm.assertEq(vault.loans().length, 1, "one place");
        vm.assertEq(vault.loans()[0], next, "which the new loan has");
        deposit(lost, 10 * DOLLAR);
        uint256 assets = vault.totalAssets();
        vault.recover(loan);
        vm.assertEq(vault.totalAssets(), assets + 10 * DOLLAR, "recovered");
        deposit(address(spv), 2_000 * DOLLAR);
        vault.collect(next);
        vm.assertEq(vault.loans().length, 0, "no loan is left");
        deposit(lost, 2_000 * DOLLAR);
        vault.recover(loan);
        assertState(loan, LoanState.Repaid, "and it is recovered from all the same");
    }

    /// @notice V-8: nobody else gives up a place: neither whose loan is drawn, however empty the company, nor who is lost and has a unit.
    function testOnlyALostCompanyWithNothingGivesUpItsPlace() external {
        Terms memory terms = someTerms();
        terms.maxLoans = 2;
        vault = deployVault(terms);
        enter(alice, 20_000 * DOLLAR);
        (, uint256 kept) = lend(100 * DOLLAR);
        nextCompany(0x0E2);
        (Order memory order, uint256 loan) = lend(100 * DOLLAR);
        address lost = address(spv);
        nextCompany(0x0E3);
        Order memory third = serveMonth();
        assertNoPlace(third);
        disputeNow(order);
        rule(order, 0, true);
        vault.resolve(loan);
        deposit(lost, 1);
        assertNoPlace(third);
        vault.recover(loan);
        uint256 next = draw(third, DOLLAR);

        vm.assertEq(vault.loans().length, 2, "two places");
        vm.assertEq(vault.loans()[0], kept, "the first has its own");
        vm.assertEq(vault.loans()[1], next, "the new one has the lost one's");
    }

    function nextCompany(uint256 key) private {
        owner = vm.addr(key);
        spv = aCompany(owner, "next");
        offer = listAs(spv);
    }

    function assertNoPlace(Order memory order) private {
        allow();
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.CapExceeded.selector, 1, 0));
        vm.prank(owner);
        vault.draw(order, address(spv), uint112(DOLLAR), ANY_RATE);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- backing

    /// @notice A first loss is offered for the serving that is open, added to, and taken back while no loan has it.
    function testACoverIsOfferedAndTakenBack() external {
        Order memory order = aMonth();
        bytes32 id = market.orderId(order);
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NotBackable.selector, id));
        vault.back(order, 1);
        serve(order);
        back(backer, order, 10 * DOLLAR);
        back(backer, order, 5 * DOLLAR);
        (uint96 amount, uint40 openedAt) = vault.coverOf(id, backer);
        vm.assertTrue(amount == 15 * DOLLAR && openedAt == leaseOf(order).openedAt, "both, for this serving");
        vm.prank(backer);
        vault.unback(id);
        vm.assertEq(dollar.balanceOf(backer), 15 * DOLLAR, "all of it");
        vm.prank(backer);
        vault.unback(id);
        vm.assertEq(dollar.balanceOf(backer), 15 * DOLLAR, "once");
        draw(order, DOLLAR);
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NotBackable.selector, id));
        vault.back(order, 1);
    }

    /// @notice An owner that chooses nobody has its own cover taken; somebody else's stays where it is.
    function testWhoseCoverIsTaken() external {
        Order memory order = serveMonth();
        back(stranger, order, 500 * DOLLAR);
        back(owner, order, 20 * DOLLAR);
        uint256 loan = draw(order, 10 * DOLLAR);

        vm.assertEq(vault.loanOf(loan).cover, 20 * DOLLAR, "its own");
        vm.assertEq(vault.loanOf(loan).backer, owner, "it bears the first loss");
        (uint96 amount,) = vault.coverOf(market.orderId(order), stranger);
        vm.assertEq(amount, 500 * DOLLAR, "nobody's cover is taken unasked");
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- credits

    /// @notice What the vault keeps for somebody is taken once, to wherever it says.
    function testACreditIsTakenOnce() external {
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        skip(1 days);
        pay(order, 2 days);
        (, uint256 toOwner) = vault.collect(loan);
        vm.startPrank(owner);
        vm.assertEq(vault.takeCredit(stranger), toOwner, "all of it");
        vm.assertEq(vault.takeCredit(stranger), 0, "once");
        vm.stopPrank();
        vm.assertEq(dollar.balanceOf(stranger), toOwner, "where it said");
        assertSolvent();
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- marks

    /// @notice V-10: what is due is the worst exit that needs nobody's word, in each state.
    function testWhatIsDueInEachState() external {
        (Order memory order, uint256 loan) = lend(500 * DOLLAR);
        uint256 paid = earned(order, 1 days);
        vm.assertEq(vault.dueOf(loan), earned(order, GUARANTEED) - paid, "guaranteed while open");
        skip(25 days);
        uint256 elapsed = timestamp() - leaseOf(order).openedAt;
        vm.assertEq(vault.dueOf(loan), earned(order, elapsed) - paid, "elapsed once that is more");
        vm.prank(operator);
        spv.claim(order, uint32(elapsed), RESULT);
        skip(1 hours);
        vm.assertEq(vault.dueOf(loan), earned(order, elapsed) - paid, "what was claimed");
        disputeNow(order);
        vm.assertEq(vault.dueOf(loan), 0, "nothing while disputed");
        rule(order, uint32(elapsed), false);
        vm.assertEq(vault.dueOf(loan), 0, "nothing once it is closed");
        vm.assertFalse(vault.isImpaired(), "by then the company has it");
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "closed");
    }

    /// @notice V-10: past the deadline nothing is due: only `expire` is left.
    function testNothingIsDuePastTheDeadline() external {
        (, uint256 loan) = lend(1_000 * DOLLAR);
        vm.warp(uint256(vault.loanOf(loan).startsAt) + MONTH + CLAIM_GRACE - 1);
        vm.assertTrue(vault.dueOf(loan) != 0, "a second before");
        skip(1);
        vm.assertEq(vault.dueOf(loan), 0, "on it");
        vm.assertTrue(vault.isImpaired(), "and the loan is impaired");
    }

    /// @notice All loans now: what they are worth, what is owed on them, and on those of one obligor.
    function testTheSurveyCountsAnObligorsLoansApart() external {
        Order memory order = aMonth();
        order.acceptor = stranger;
        serve(order);
        cover(backer, order, 500 * DOLLAR);
        draw(order, 300 * DOLLAR);
        spv = aCompany(owner, "second");
        offer = listAs(spv);
        uint256 second = draw(serveMonth(), 200 * DOLLAR);
        Survey memory survey = vault.surveyOf(client);

        vm.assertEq(survey.lentToObligor, vault.owedOf(second), "those that rest on its word");
        vm.assertTrue(survey.lent > survey.lentToObligor + 300 * DOLLAR - 1, "and all of them");
        vm.assertEq(survey.assets, vault.totalAssets(), "what everything is worth");
        vm.assertFalse(survey.isImpaired || survey.disputedSince != 0, "and nothing is wrong");
    }

    /// @notice The contract that decides is the vault's own, and says the same.
    function testTheRulesAreTheVaultsOwn() external {
        Order memory order = serveMonth();
        IAdvanceRules rules = IAdvanceRules(vault.rules());
        (uint256 most, uint8 rule) = rules.limitOf(order, address(spv));
        (uint256 told, uint8 toldRule) = vault.limitOf(order, address(spv));

        vm.assertTrue(most == told && rule == toldRule, "asked directly or through the vault");
        vm.assertEq(keccak256(abi.encode(rules.terms())), keccak256(abi.encode(vault.terms())), "of the same terms");
        vm.assertTrue(rules.isObligor(client), "and the same obligors");
    }

    /// @notice A token that takes a fee cannot be paid in: what does not arrive would be lent by nobody. What is inside can still leave.
    function testATokenThatTakesAFeeIsNotDeposited() external {
        dollar = ITestDollar(address(new FeeDollar()));
        market = deployMarket(address(dollar));
        deposit(provider, 1_000 * DOLLAR);
        setUpVault();
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        dollar.mint(stranger, 400 * DOLLAR);
        FeeDollar(address(dollar)).takeFees();
        vm.startPrank(stranger);
        dollar.approve(address(vault), type(uint256).max);
        bytes memory reason = abi.encodeWithSelector(IAdvanceVault.Shortfall.selector, 99 * DOLLAR, 100 * DOLLAR);
        vm.expectRevert(reason);
        vault.deposit(100 * DOLLAR, stranger);
        vm.expectRevert(reason);
        vault.mint(100 * DOLLAR * SHARES - 1, stranger);
        vm.expectRevert(reason);
        vault.repay(loan, uint112(100 * DOLLAR));
        vm.stopPrank();
        leave(alice, vault.balanceOf(alice));
        fillQueue();
        uint256 shares = vault.maxRedeem(alice);
        vm.prank(alice);
        vault.redeem(shares, alice, alice);
        vm.assertTrue(dollar.balanceOf(alice) > 9_800 * DOLLAR, "whoever leaves bears the fee");
        skip(1 days);
        pay(order, 2 days);
        (uint256 toVault,) = vault.collect(loan);
        vm.assertTrue(
            toVault != 0 && dollar.balanceOf(address(vault)) >= vault.cash(),
            "and income that comes in short is counted short"
        );
    }

    /// @notice S-3, F-6: the company asks the vault, within the market's cap of gas: a rebate out of the owner's part is signed, one out of the lenders' is not.
    function testARebateIsSignedWhereTheVaultStaysWhole() external {
        Order memory order = aMonth();
        order.minSeconds = 3 days;
        serve(order);
        skip(1 days);
        pay(order, 1 days);
        emptyCompany();
        uint256 loan = draw(order, 200 * DOLLAR);
        skip(12 days);
        uint32 least = spv.floorOf(order);
        vm.assertTrue(least < 12 days && least > 1 days, "below what elapsed, as the vault would be whole");
        settle(agreed(order, least - 1));
        vm.assertEq(
            uint8(market.statusOf(order)), uint8(Status.Open), "one second less is no signature of the company's"
        );
        settle(agreed(order, least));
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "that much is");
        vault.resolve(loan);
        assertState(loan, LoanState.Repaid, "and the vault is whole");
    }
}
