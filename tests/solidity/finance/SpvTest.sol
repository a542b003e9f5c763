// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Receipt, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {IProviderSpv} from "../../../contracts/finance/interfaces/IProviderSpv.sol";
import {ISpvFactory} from "../../../contracts/finance/interfaces/ISpvFactory.sol";
import {MarketTest} from "../MarketTest.sol";
import {StubVault} from "./StubVault.sol";

/// @notice A company with an owner, an operator and an offer of 8 GPUs, a month's order of 3 of them, and a vault that may take its income in pledge.
abstract contract SpvTest is MarketTest {
    uint256 internal constant SLACK = 1 hours;
    uint32 internal constant MONTH = 30 days;
    uint32 internal constant GUARANTEED = 20 days;
    uint256 internal constant FUNDS = 2_000 * DOLLAR;
    bytes4 internal constant VALID = 0x1626ba7e;
    bytes4 internal constant INVALID = 0xffffffff;

    uint256 internal constant OPERATOR_KEY = 0x09E8A702;
    uint256 internal constant NEXT_KEY = 0x09E8A703;
    address internal operator = vm.addr(OPERATOR_KEY);
    address internal next = vm.addr(NEXT_KEY);
    address internal owner = vm.addr(0xC01D);

    ISpvFactory internal factory;
    IProviderSpv internal spv;
    StubVault internal vault;

    function setUp() public virtual override {
        super.setUp();
        deposit(client, 20_000 * DOLLAR);
        factory = ISpvFactory(vm.deployCode("SpvFactory.sol:SpvFactory", abi.encode(address(market), SLACK)));
        spv = aCompany("first");
        vault = new StubVault();
        offer = listAs(spv);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    function aCompany(bytes32 salt) internal returns (IProviderSpv made) {
        vm.prank(owner);
        made = IProviderSpv(factory.create(owner, operator, salt));
        deposit(address(made), FUNDS);
    }

    function listAs(IProviderSpv company) internal returns (uint40) {
        vm.prank(operator);
        return company.list({
            class: CLASS,
            gpus: GPUS,
            bondBps: BOND_BPS,
            price: PRICE,
            minSeconds: uint16(MIN_SECONDS),
            expiresAt: uint40(NOW + 30 days),
            arbiter: arbiter,
            spec: keccak256("machine")
        });
    }

    /// @notice The month of "What is really safe": 5,066.67 dollars, a fifth at stake, two thirds guaranteed.
    function aMonth() internal view returns (Order memory order) {
        order = anOrder();
        (order.maxSeconds, order.minSeconds, order.tip, order.opener) = (MONTH, GUARANTEED, 0, address(0));
        order.arbiter = market.offerOf(offer).arbiter;
    }

    function serveMonth() internal returns (Order memory order) {
        order = aMonth();
        open(order);
    }

    function aBatch(Order memory order) internal view returns (Fill[] memory fills) {
        fills = new Fill[](1);
        fills[0] = aFill(order);
    }

    function blobOf(Receipt memory receipt, uint256 key) internal view returns (bytes memory) {
        return abi.encode(receipt, sign(key, market.receiptId(receipt)));
    }

    function agreed(Order memory order, uint32 usedSeconds) internal view returns (Settlement memory settlement) {
        settlement = aSettlement(order, usedSeconds, true);
        settlement.providerSignature = blobOf(receiptOf(order, usedSeconds, true), OPERATOR_KEY);
    }

    /// @notice What the company says of a last receipt of `usedSeconds` that its operator signed.
    function answerTo(Order memory order, uint32 usedSeconds) internal view returns (bytes4) {
        Receipt memory receipt = receiptOf(order, usedSeconds, true);
        return spv.isValidSignature(market.receiptId(receipt), blobOf(receipt, OPERATOR_KEY));
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    function pledge(Order memory order) internal {
        vm.prank(owner);
        spv.allow(address(vault));
        vault.pledge(spv, market.orderId(order), leaseOf(order).openedAt, order);
    }

    /// @notice A month that is served and pledged, and on which `owed` is owed.
    function pledgedMonth(uint256 owed) internal returns (Order memory order) {
        order = serveMonth();
        pledge(order);
        vault.say(owed, 0, 0);
    }

    function claimAs(address sender, Order memory order, uint32 usedSeconds) internal {
        vm.prank(sender);
        spv.claim(order, usedSeconds, RESULT);
    }

    function expectNotOperator(address caller) internal {
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotOperator.selector, caller, operator));
    }

    function expectNotOwner(address caller) internal {
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.NotOwner.selector, caller, owner));
    }

    function expectPledged() internal {
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.IsPledged.selector, address(vault)));
    }

    function expectBelow(uint32 attempted, uint32 least) internal {
        vm.expectRevert(abi.encodeWithSelector(IProviderSpv.BelowFloor.selector, attempted, least));
    }

    function assertStatus(Order memory order, Status status, string memory reason) internal view {
        vm.assertEq(uint8(market.statusOf(order)), uint8(status), reason);
    }
}
