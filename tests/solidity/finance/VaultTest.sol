// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, Receipt, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {IAdvanceVault, Loan, LoanState, Terms} from "../../../contracts/finance/interfaces/IAdvanceVault.sol";
import {IProviderSpv} from "../../../contracts/finance/interfaces/IProviderSpv.sol";
import {ISpvFactory} from "../../../contracts/finance/interfaces/ISpvFactory.sol";
import {MarketTest} from "../MarketTest.sol";

/// @notice A vault that lends on the client's word, two depositors, a company with an offer of 8 GPUs, and a month's order of 3 of them: 5,066.67 dollars, a
/// fifth at stake, two thirds guaranteed.
abstract contract VaultTest is MarketTest {
    uint256 internal constant SLACK = 1 hours;
    uint32 internal constant MONTH = 30 days;
    uint32 internal constant GUARANTEED = 20 days;
    uint256 internal constant SHARES = 1e6;
    uint16 internal constant ANY_RATE = type(uint16).max;

    uint256 internal constant OPERATOR_KEY = 0x09E8A702;
    address internal operator = vm.addr(OPERATOR_KEY);
    address internal owner = vm.addr(0xC01D);
    address internal alice = vm.addr(0xA11CE);
    address internal bob = vm.addr(0xB0B);
    address internal backer = vm.addr(0xBAC);

    ISpvFactory internal factory;
    IProviderSpv internal spv;
    IAdvanceVault internal vault;

    function setUp() public virtual override {
        super.setUp();
        setUpVault();
    }

    function setUpVault() internal {
        deposit(client, 100_000 * DOLLAR);
        factory = ISpvFactory(vm.deployCode("SpvFactory.sol:SpvFactory", abi.encode(address(market), SLACK)));
        spv = aCompany(owner, "first");
        offer = listAs(spv);
        vault = deployVault(someTerms());
        enter(alice, 10_000 * DOLLAR);
        enter(bob, 10_000 * DOLLAR);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    function someTerms() internal view returns (Terms memory) {
        address[] memory obligors = new address[](1);
        obligors[0] = client;
        return Terms({
            market: address(market),
            factory: address(factory),
            arbiter: arbiter,
            obligors: obligors,
            maxTenor: 60 days,
            opexBps: 3_000,
            dscrBps: 12_000,
            reserveBps: 1_000,
            betaBps: 0,
            earlyBps: 5_000,
            coverShareBps: 2_000,
            exitBps: 10,
            loanCapBps: 10_000,
            obligorCapBps: 10_000,
            utilisationCapBps: 9_000,
            baseRate: 500,
            slopeRate: 500,
            window: 1 days,
            maxLoans: 4
        });
    }

    function deployVault(Terms memory terms) internal returns (IAdvanceVault) {
        return IAdvanceVault(vm.deployCode("AdvanceVault.sol:AdvanceVault", abi.encode(terms)));
    }

    function aCompany(address whose, bytes32 salt) internal returns (IProviderSpv made) {
        vm.prank(whose);
        made = IProviderSpv(factory.create(whose, operator, salt));
        deposit(address(made), 5_000 * DOLLAR);
    }

    function listAs(IProviderSpv company) internal returns (uint40) {
        vm.prank(operator);
        return company.list({
            class: CLASS,
            gpus: GPUS,
            bondBps: BOND_BPS,
            price: PRICE,
            minSeconds: uint16(MIN_SECONDS),
            expiresAt: uint40(timestamp() + 30 days),
            arbiter: arbiter,
            spec: keccak256("machine")
        });
    }

    function aMonth() internal view returns (Order memory order) {
        order = anOrder();
        (order.maxSeconds, order.minSeconds, order.tip, order.opener) = (MONTH, GUARANTEED, 0, address(0));
        order.acceptor = address(0);
        order.expiresAt = uint40(timestamp() + 1 days);
        order.salt = timestamp();
    }

    /// @notice A month that is served, and can no longer be declined; the company has nothing but it.
    function serveMonth() internal returns (Order memory order) {
        order = aMonth();
        serve(order);
    }

    function serve(Order memory order) internal {
        open(order);
        skip(START_GRACE);
        emptyCompany();
    }

    function emptyCompany() internal {
        uint256 free = market.balanceOf(address(spv));
        vm.prank(owner);
        spv.withdraw(free);
    }

    /// @notice A loan of so much on a fresh month, drawn on its second day, after a day was paid for.
    function lend(uint256 amount) internal returns (Order memory order, uint256 loan) {
        order = serveMonth();
        skip(1 days);
        pay(order, 1 days);
        emptyCompany();
        loan = draw(order, amount);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    function enter(address who, uint256 assets) internal returns (uint256 shares) {
        dollar.mint(who, assets);
        vm.startPrank(who);
        dollar.approve(address(vault), assets);
        shares = vault.deposit(assets, who);
        vm.stopPrank();
    }

    function allow() internal {
        vm.prank(owner);
        spv.allow(address(vault));
    }

    function draw(Order memory order, uint256 amount) internal returns (uint256 loan) {
        allow();
        vm.prank(owner);
        loan = vault.draw(order, address(spv), uint112(amount), ANY_RATE);
    }

    function back(address who, Order memory order, uint256 amount) internal {
        dollar.mint(who, amount);
        vm.startPrank(who);
        dollar.approve(address(vault), amount);
        vault.back(order, uint96(amount));
        vm.stopPrank();
    }

    function cover(address who, Order memory order, uint256 amount) internal {
        back(who, order, amount);
        bytes32 id = market.orderId(order);
        vm.prank(owner);
        vault.choose(id, who);
    }

    function leave(address who, uint256 shares) internal {
        vm.prank(who);
        vault.requestRedeem(shares, who, who);
    }

    function fillQueue() internal returns (uint256 shares, uint256 assets) {
        (,, uint256 from) = vault.queue();
        if (timestamp() < from) vm.warp(from);
        return vault.process();
    }

    function disputeNow(Order memory order) internal {
        vm.prank(client);
        market.dispute(order);
    }

    function rule(Order memory order, uint32 usedSeconds, bool isAtFault) internal {
        vm.prank(arbiter);
        market.rule(order, usedSeconds, isAtFault);
    }

    function agreed(Order memory order, uint32 usedSeconds) internal view returns (Settlement memory settlement) {
        settlement = aSettlement(order, usedSeconds, true);
        Receipt memory receipt = receiptOf(order, usedSeconds, true);
        settlement.providerSignature = abi.encode(receipt, sign(OPERATOR_KEY, market.receiptId(receipt)));
    }

    /// @notice The lease runs to its end, and somebody claims in the operator's stead.
    function finish(Order memory order, address keeper) internal {
        uint256 end = leaseOf(order).openedAt + order.maxSeconds;
        if (timestamp() < end) vm.warp(end);
        vm.prank(keeper);
        spv.claimDue(order);
        skip(CHALLENGE_WINDOW);
        finalize(order);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- reading

    function priceOfMillion() internal view returns (uint256) {
        return vault.convertToAssets(1_000_000 * DOLLAR * SHARES);
    }

    function assertState(uint256 loan, LoanState state, string memory reason) internal view {
        vm.assertEq(uint8(vault.loanOf(loan).state), uint8(state), reason);
    }

    /// @notice F-4, without donations: what the vault has is what it owes to somebody. Of the credits, those that these people have.
    function assertSolvent() internal view {
        uint256 owed = vault.cash();
        uint256[] memory live = vault.loans();
        for (uint256 i = 0; i < live.length; ++i) {
            Loan memory loan = vault.loanOf(live[i]);
            owed += uint256(loan.reserve) + loan.cover;
        }
        address[5] memory people = [alice, bob, owner, backer, stranger];
        for (uint256 i = 0; i < people.length; ++i) {
            owed += vault.creditOf(people[i]) + vault.maxWithdraw(people[i]);
        }
        uint256 held = dollar.balanceOf(address(vault));
        vm.assertTrue(held >= owed && held - owed <= people.length, "F-4: the vault has what it owes");
    }
}
