// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order} from "../../../contracts/interfaces/IComputeMarket.sol";
import {IAdvanceVault, Loan, LoanState, Terms} from "../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {IProviderSpv} from "../../../contracts/finance/interfaces/IProviderSpv.sol";
import {VaultTest} from "./VaultTest.sol";

/// @notice V-1 to V-9: a draw that is good but for one thing is refused for that one thing; and how much may be drawn.
contract VaultRulesTest is VaultTest {
    // ------------------------------------------------------------------------------------------------------------------------------------ limits

    /// @notice V-6, V-7: with a fifth at stake, a tenth held back and no trust in what is to come, the company draws 1,125.92 dollars, and half of it on the
    /// first day.
    function testTheLimitIsWhatTheCompanyWouldLose() external {
        Order memory order = serveMonth();
        (uint256 most, uint8 rule) = vault.limitOf(order, address(spv));
        vm.assertEq(rule, 7, "V-7 binds on the first day");
        vm.assertEq(most, bond(order) * 10_000 / 9_000 / 2, "half of the limit");

        skip(1 days);
        pay(order, 1 days);
        (most, rule) = vault.limitOf(order, address(spv));
        vm.assertEq(rule, 6, "V-6 binds");
        vm.assertEq(most, 1_125_925_921, "B / 0.9");
        vm.assertEq(most - (most + 9) / 10, bond(order), "the bond, and the reserve that stays here");
    }

    /// @notice Where nothing may be drawn whatever the amount, the limit is 0, and says by which rule; an order that is none has no limit.
    function testTheLimitSaysWhyThereIsNone() external {
        Order memory order = aMonth();
        open(order);
        assertNone(order, 1);
        skip(START_GRACE);
        Terms memory terms = someTerms();
        terms.maxTenor = 30 days;
        IAdvanceVault usual = vault;
        vault = deployVault(terms);
        assertNone(order, 3);
        vault = usual;
        emptyCompany();
        draw(order, DOLLAR);
        disputeNow(order);
        rule(order, 0, true);
        vault.resolve(1);
        spv = aCompany(owner, "next");
        offer = listAs(spv);
        assertNone(serveMonth(), 8);

        bytes memory question = abi.encodeCall(IAdvanceVault.limitOf, (order, address(spv)));
        // Its GPUs, in the upper half of their word.
        question[4 + 3 * 32] = 0x01;
        (bool isAnswer,) = address(vault).staticcall(question);
        vm.assertFalse(isAnswer, "what the rules refuse to read, the vault does");
    }

    function assertNone(Order memory order, uint8 expected) private view {
        (uint256 most, uint8 rule) = vault.limitOf(order, address(spv));
        vm.assertEq(most, 0, "nothing");
        vm.assertEq(rule, expected, "by this rule");
    }

    /// @notice limitOf is the border: what it says is drawn, and one unit more is not.
    function testWhatTheLimitSaysIsDrawnAndNotOneUnitMore(uint256 seed) external {
        Order memory order = serveMonth();
        if (seed % 3 != 0) {
            skip(1 days);
            pay(order, uint32(1 days + seed % 9 days));
        }
        if (seed % 2 == 0) cover(backer, order, seed % (2_000 * DOLLAR));
        (uint256 most,) = vault.limitOf(order, address(spv));
        vm.assume(most != 0);
        allow();
        vm.startPrank(owner);
        (bool isDrawn,) =
            address(vault).call(abi.encodeCall(IAdvanceVault.draw, (order, address(spv), uint112(most + 1), ANY_RATE)));
        vm.assertFalse(isDrawn, "one unit more is refused");
        vault.draw(order, address(spv), uint112(most), ANY_RATE);
        vm.stopPrank();
        assertSolvent();
    }

    /// @notice V-6: a prepayment that is not served yet is taken off, so that taking it and leaving gains nothing.
    function testUnearnedPrepaymentLowersTheLimit() external {
        Order memory order = serveMonth();
        pay(order, 6 days);
        emptyCompany();
        skip(1 days - START_GRACE);
        (uint256 most, uint8 rule) = vault.limitOf(order, address(spv));

        vm.assertEq(rule, 6, "V-6 binds");
        uint256 unearned = earned(order, 6 days) - earned(order, 1 days);
        vm.assertEq(most - (most + 9) / 10, bond(order) - unearned, "five days less, a sixth of it left");
    }

    /// @notice V-5: at beta one and with a bond as large as the rent, what stands behind the loan binds.
    function testCoverageBindsWhereTheBondIsLarge() external {
        Terms memory terms = someTerms();
        terms.betaBps = 10_000;
        vault = deployVault(terms);
        enter(alice, 20_000 * DOLLAR);
        Order memory order = serveMonth();
        skip(1 days);
        pay(order, 1 days);
        emptyCompany();
        (uint256 most, uint8 rule) = vault.limitOf(order, address(spv));
        uint256 loan = draw(order, most);

        vm.assertEq(rule, 5, "V-5 binds");
        vm.assertTrue(
            vault.coveredOf(loan) * 10_000 >= vault.owedOf(loan) * terms.dscrBps, "covered beyond what is owed"
        );
        vm.assertEq(
            vault.coveredOf(loan),
            (earned(order, GUARANTEED) - earned(order, 1 days)) * 7_000 / 10_000 + vault.loanOf(loan).reserve,
            "the lender's part of what is due, and the reserve"
        );
    }

    /// @notice V-7: a second draw on the same loan, once a day was served and paid; one rate for both, rounded up (V-7b).
    function testADelayedDrawGoesOnTheSameLoan() external {
        Order memory order = serveMonth();
        uint256 loan = draw(order, 500 * DOLLAR);
        uint256 first = vault.loanOf(loan).rateBps;
        skip(1 days);
        pay(order, 1 days);
        vault.collect(loan);
        uint256 again = draw(order, 300 * DOLLAR);

        vm.assertEq(again, loan, "one loan for one serving");
        vm.assertTrue(vault.loanOf(loan).rateBps >= first, "the more is lent the higher the rate");
        vm.assertEq(vault.loanOf(loan).reserve, 80 * DOLLAR, "a tenth of both");
        vm.assertEq(vault.loans().length, 1, "one place");
        assertSolvent();
    }

    /// @notice V-4: without an obligor a vault lends what reserve and cover pay back, interest to maturity included, and nothing more.
    function testACoveredVaultLendsItsCover() external {
        Terms memory terms = someTerms();
        terms.obligors = new address[](0);
        vault = deployVault(terms);
        enter(alice, 20_000 * DOLLAR);
        Order memory order = serveMonth();
        cover(backer, order, 900 * DOLLAR);
        (uint256 most, uint8 rule) = vault.limitOf(order, address(spv));

        vm.assertEq(rule, 2, "nobody's word counts");
        vm.assertTrue(most < 1_000 * DOLLAR && most > 990 * DOLLAR, "900 dollars and a tenth, less interest");
        uint256 loan = draw(order, most);
        vm.assertEq(vault.loanOf(loan).cover, 900 * DOLLAR, "the cover is taken");
        vm.assertFalse(vault.isImpaired(), "and pays all of it back");
    }

    // --------------------------------------------------------------------------------------------------------------------------- one violation each

    function refused(Order memory order, uint256 amount, bytes memory reason) private {
        allow();
        vm.expectRevert(reason);
        vm.prank(owner);
        vault.draw(order, address(spv), uint112(amount), ANY_RATE);
    }

    function notServed(Order memory order) private {
        refused(
            order, DOLLAR, abi.encodeWithSelector(IAdvanceVault.NotServed.selector, market.orderId(order), address(spv))
        );
    }

    /// @notice V-1: nothing is served.
    function testAnOrderThatIsNotOpenIsRefused() external {
        notServed(aMonth());
    }

    /// @notice V-1: it can still be declined.
    function testALeaseThatCanBeDeclinedIsRefused() external {
        Order memory order = aMonth();
        open(order);
        notServed(order);
        skip(START_GRACE - 1);
        notServed(order);
    }

    /// @notice V-1: a term lease cannot be declined, and is lent on at once.
    function testATermLeaseIsLentOnAtOnce() external {
        Order memory order = aMonth();
        order.startsAt = uint40(timestamp() + 1 days);
        Fill[] memory fills = _fills(order);
        vm.prank(operator);
        spv.open(fills, ROUND);
        emptyCompany();
        uint256 loan = draw(order, 100 * DOLLAR);

        vm.assertEq(vault.loanOf(loan).startsAt, order.startsAt, "metering starts then");
    }

    function _fills(Order memory order) private view returns (Fill[] memory fills) {
        fills = new Fill[](1);
        fills[0] = aFill(order);
    }

    /// @notice V-1: somebody else serves it.
    function testALeaseOfAnotherProviderIsRefused() external {
        offer = list(provider);
        Order memory order = aMonth();
        deposit(provider, 5_000 * DOLLAR);
        open(order);
        skip(START_GRACE);
        notServed(order);
    }

    /// @notice V-1: a contract that is no company of the factory, however it behaves.
    function testAStrangersContractIsRefused() external {
        Order memory order = serveMonth();
        vm.expectRevert(
            abi.encodeWithSelector(IAdvanceVault.NotServed.selector, market.orderId(order), address(dollar))
        );
        vault.draw(order, address(dollar), uint112(DOLLAR), ANY_RATE);
    }

    /// @notice V-1: past the deadline nobody can claim any more.
    function testALeasePastItsDeadlineIsRefused() external {
        Order memory order = serveMonth();
        skip(MONTH + CLAIM_GRACE - START_GRACE);
        notServed(order);
    }

    /// @notice V-1: claimed, disputed and closed leases are over.
    function testALeaseThatIsNotOpenIsRefused() external {
        Order memory order = serveMonth();
        disputeNow(order);
        notServed(order);
    }

    /// @notice Only the owner draws; the operator's key may be stolen.
    function testOnlyTheOwnerDraws() external {
        Order memory order = serveMonth();
        allow();
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.NotOwner.selector, operator, owner));
        vm.prank(operator);
        vault.draw(order, address(spv), uint112(DOLLAR), ANY_RATE);
    }

    /// @notice The owner has to allow the vault: a vault cannot take a company in pledge.
    function testACompanyThatDidNotAllowItIsRefused() external {
        Order memory order = serveMonth();
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotAllowed.selector, address(vault), address(0)));
        vm.prank(owner);
        vault.draw(order, address(spv), uint112(DOLLAR), ANY_RATE);
    }

    /// @notice V-2: the client is nobody that the depositors chose.
    function testAnUnknownClientIsRefused() external {
        Terms memory terms = someTerms();
        terms.obligors[0] = stranger;
        vault = deployVault(terms);
        enter(alice, 10_000 * DOLLAR);
        refused(serveMonth(), DOLLAR, abi.encodeWithSelector(IAdvanceVault.NotObligor.selector, client));
    }

    /// @notice V-2: somebody else may act for the client, and so dispute or sign for it.
    function testAnObligorWithAnotherAcceptorIsRefused() external {
        Order memory order = aMonth();
        order.acceptor = stranger;
        serve(order);
        refused(order, DOLLAR, abi.encodeWithSelector(IAdvanceVault.NotObligor.selector, client));
    }

    /// @notice V-3: another arbiter would rule.
    function testAnotherArbiterIsRefused() external {
        Terms memory terms = someTerms();
        terms.arbiter = stranger;
        vault = deployVault(terms);
        enter(alice, 10_000 * DOLLAR);
        refused(serveMonth(), DOLLAR, abi.encodeWithSelector(IAdvanceVault.WrongArbiter.selector, arbiter, stranger));
    }

    /// @notice V-3: it may take longer until everything is decided than depositors want to wait.
    function testATooLongLeaseIsRefused() external {
        Terms memory terms = someTerms();
        terms.maxTenor = 38 days;
        vault = deployVault(terms);
        enter(alice, 10_000 * DOLLAR);
        Order memory order = serveMonth();
        uint256 maturity = leaseOf(order).openedAt + uint256(MONTH) + CLAIM_GRACE + CHALLENGE_WINDOW + RULING_WINDOW;
        refused(
            order,
            DOLLAR,
            abi.encodeWithSelector(IAdvanceVault.TooLong.selector, maturity, timestamp() + terms.maxTenor)
        );
    }

    /// @notice V-5: what is due after running costs must be more than what will be owed.
    function testWhatIsNotCoveredIsRefused() external {
        Order memory order = aMonth();
        order.minSeconds = 2 days;
        serve(order);
        skip(1 days);
        pay(order, 1 days);
        emptyCompany();
        (uint256 most, uint8 rule) = vault.limitOf(order, address(spv));
        vm.assertEq(rule, 5, "V-5 binds where little is guaranteed");
        allow();
        (bool isDrawn, bytes memory reason) = _tryDraw(order, most + 1);

        vm.assertFalse(isDrawn, "refused");
        vm.assertEq(bytes32(bytes4(reason)), bytes32(IAdvanceVault.NotCovered.selector), "for that");
    }

    /// @notice V-6: one unit more than what the company would lose.
    function testWalkingAwayMustNotPay() external {
        Order memory order = serveMonth();
        skip(1 days);
        pay(order, 1 days);
        uint256 amount = bond(order) * 10_000 / 9_000 + 2;
        uint256 reserve = (amount + 9) / 10;
        refused(order, amount, abi.encodeWithSelector(IAdvanceVault.WalkAway.selector, amount - reserve, bond(order)));
    }

    /// @notice V-7: what would be good tomorrow is too early today.
    function testTooEarlyIsRefused() external {
        Order memory order = serveMonth();
        refused(order, 1_000 * DOLLAR, abi.encodeWithSelector(IAdvanceVault.TooEarlyToDraw.selector, 1_000 * DOLLAR));
    }

    /// @notice V-7: a day that passed is not a day that was paid for, nor the other way round.
    function testADayThatWasNotPaidForIsTooEarly() external {
        Order memory order = serveMonth();
        skip(1 days);
        pay(order, 1 days - 1);
        (, uint8 rule) = vault.limitOf(order, address(spv));
        vm.assertEq(rule, 7, "not paid for");
    }

    /// @notice V-8: one loan may have at most its share of the vault.
    function testTheCapOfALoanHolds() external {
        Terms memory terms = someTerms();
        terms.loanCapBps = 100;
        capped(terms, 100 * DOLLAR, 101 * DOLLAR);
    }

    /// @notice V-8: all loans on one obligor may have at most their share.
    function testTheCapOfAnObligorHolds() external {
        Terms memory terms = someTerms();
        terms.obligorCapBps = 100;
        capped(terms, 100 * DOLLAR, 101 * DOLLAR);
    }

    /// @notice V-8: all loans may have at most their share.
    function testTheCapOfAllLoansHolds() external {
        Terms memory terms = someTerms();
        terms.utilisationCapBps = 100;
        capped(terms, 100 * DOLLAR, 101 * DOLLAR);
    }

    function capped(Terms memory terms, uint256 allowed, uint256 attempted) private {
        vault = deployVault(terms);
        enter(alice, 10_000 * DOLLAR);
        Order memory order = serveMonth();
        refused(order, attempted, abi.encodeWithSelector(IAdvanceVault.CapExceeded.selector, attempted, allowed));
        draw(order, allowed);
    }

    /// @notice V-8: no more than is there.
    function testMoreThanThereIsIsRefused() external {
        vault = deployVault(someTerms());
        enter(alice, 10 * DOLLAR);
        refused(
            serveMonth(),
            11 * DOLLAR,
            abi.encodeWithSelector(IAdvanceVault.CapExceeded.selector, 11 * DOLLAR, 10 * DOLLAR)
        );
    }

    /// @notice V-8: as many loans as there are places.
    function testThereAreSoManyPlaces() external {
        Terms memory terms = someTerms();
        terms.maxLoans = 1;
        vault = deployVault(terms);
        enter(alice, 10_000 * DOLLAR);
        draw(serveMonth(), DOLLAR);
        spv = aCompany(owner, "second");
        offer = listAs(spv);
        refused(serveMonth(), DOLLAR, abi.encodeWithSelector(IAdvanceVault.CapExceeded.selector, 1, 0));
    }

    /// @notice V-8: an owner of which something was written off here draws no more.
    function testAnOwnerWithAWriteOffDrawsNoMore() external {
        (Order memory order, uint256 loan) = lend(1_000 * DOLLAR);
        disputeNow(order);
        rule(order, 0, true);
        vault.resolve(loan);
        vm.assertTrue(vault.hasWriteOff(owner), "it is known");
        spv = aCompany(owner, "second");
        offer = listAs(spv);
        refused(serveMonth(), DOLLAR, abi.encodeWithSelector(IAdvanceVault.CapExceeded.selector, 1, 0));
    }

    /// @notice V-9: the borrower says what rate it takes.
    function testATooHighRateIsRefused() external {
        Order memory order = serveMonth();
        allow();
        // 500, and 500 times a hundredth of the vault, rounded up.
        vm.expectRevert(abi.encodeWithSelector(IAdvanceVault.RateTooHigh.selector, 505, 504));
        vm.prank(owner);
        vault.draw(order, address(spv), uint112(200 * DOLLAR), 504);
    }

    /// @notice F-13: nothing is drawn of nothing.
    function testADrawOfNothingIsRefused() external {
        refused(serveMonth(), 0, abi.encodeWithSelector(IAdvanceVault.NothingOwed.selector, 0));
    }

    /// @notice V-1: a loan that was repaid is over, also while its lease goes on.
    function testARepaidLoanIsNotDrawnAgain() external {
        (Order memory order, uint256 loan) = lend(100 * DOLLAR);
        pay(order, uint32(elapsed(order)));
        skip(5 days);
        pay(order, uint32(elapsed(order)));
        vault.collect(loan);
        assertState(loan, LoanState.Repaid, "repaid");
        notServed(order);
    }

    function elapsed(Order memory order) private view returns (uint256) {
        return timestamp() - leaseOf(order).openedAt;
    }

    /// @notice B03: a company that is pledged elsewhere is not taken in pledge again.
    function testACompanyThatIsPledgedElsewhereIsRefused() external {
        Order memory order = serveMonth();
        draw(order, DOLLAR);
        vault = deployVault(someTerms());
        enter(alice, 10_000 * DOLLAR);
        notServed(order);
    }

    function _tryDraw(Order memory order, uint256 amount) private returns (bool, bytes memory) {
        vm.prank(owner);
        return address(vault).call(abi.encodeCall(IAdvanceVault.draw, (order, address(spv), uint112(amount), ANY_RATE)));
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- terms

    function badTerms(Terms memory terms, uint256 number) private {
        (bool isMade, bytes memory reason) = address(this).call(abi.encodeCall(this.tryToDeploy, (terms)));
        vm.assertFalse(isMade, "no such vault");
        vm.assertEq(
            keccak256(reason), keccak256(abi.encodeWithSelector(IAdvanceVault.BadTerms.selector, number)), "for that"
        );
    }

    function tryToDeploy(Terms memory terms) external {
        bytes memory code = abi.encodePacked(vm.getCode("AdvanceVault.sol:AdvanceVault"), abi.encode(terms));
        assembly {
            let made := create(0, add(code, 0x20), mload(code))
            if iszero(made) {
                returndatacopy(0, 0, returndatasize())
                revert(0, returndatasize())
            }
        }
    }

    /// @notice Terms that would break a promise make no vault.
    function testTermsOutOfBoundsMakeNoVault() external {
        Terms memory terms = someTerms();
        terms.dscrBps = 9_999;
        badTerms(terms, 7);
        terms = someTerms();
        terms.opexBps = 10_001;
        badTerms(terms, 6);
        terms = someTerms();
        terms.utilisationCapBps = 10_001;
        badTerms(terms, 15);
        terms = someTerms();
        terms.obligors = new address[](17);
        badTerms(terms, 4);
        terms = someTerms();
        terms.obligors[0] = address(0);
        badTerms(terms, 4);
        terms = someTerms();
        terms.maxLoans = 33;
        badTerms(terms, 19);
        terms = someTerms();
        terms.window = 0;
        badTerms(terms, 18);
        terms = someTerms();
        terms.baseRate = 65_535;
        badTerms(terms, 17);
        terms = someTerms();
        terms.arbiter = address(0);
        badTerms(terms, 3);
        terms = someTerms();
        terms.factory = vm.deployCode("SpvFactory.sol:SpvFactory", abi.encode(stranger, SLACK));
        badTerms(terms, 2);
        terms = someTerms();
        terms.maxLoans = 0;
        badTerms(terms, 19);
    }

    /// @notice What a vault is can be read, and is what it was made with.
    function testTermsAreWhatTheyWere() external view {
        vm.assertEq(keccak256(abi.encode(vault.terms())), keccak256(abi.encode(someTerms())), "all of them");
        vm.assertTrue(vault.isObligor(client) && !vault.isObligor(stranger), "and who its obligors are");
    }
}
