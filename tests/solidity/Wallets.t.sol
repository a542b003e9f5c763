// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

import {Fill, IComputeMarket, Order, Refusal, Settlement, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {LedgerTest} from "./LedgerTest.sol";
import {Answer, BurningWallet} from "./wallets/AwkwardWallets.sol";

/// @notice Says yes to one signature, of whatever bytes.
contract OneSignatureWallet is IERC1271 {
    bytes32 private _approved;

    function approve(bytes32 digest, bytes calldata signature) external {
        _approved = keccak256(abi.encode(digest, signature));
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        return keccak256(abi.encode(digest, signature)) == _approved ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @notice Counts how often it was asked, and then says yes.
contract WritingWallet {
    uint256 private _asked;

    function isValidSignature(bytes32, bytes calldata) external returns (bytes4) {
        ++_asked;
        return this.isValidSignature.selector;
    }
}

/// @notice Says yes, if it was asked with all of the gas that is granted, and no more.
contract GasWallet is IERC1271 {
    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        uint256 left = gasleft();
        return left > 99_000 && left <= 100_000 ? this.isValidSignature.selector : bytes4(0);
    }
}

/// @notice Says yes with as many words as its gas can pay for.
contract BombingWallet is IERC1271 {
    function isValidSignature(bytes32, bytes calldata) external pure returns (bytes4) {
        bytes32 word = bytes32(IERC1271.isValidSignature.selector);
        assembly {
            mstore(0, word)
            return(0, 150000)
        }
    }
}

/// @notice Clients, acceptors and providers that are contracts, and sign by saying so (EIP-1271, P-25).
contract WalletsTest is LedgerTest {
    bytes32 internal constant YES = bytes32(IERC1271.isValidSignature.selector);
    bytes internal constant ANY = "any signature";

    OneSignatureWallet internal wallet;

    function setUp() public override {
        super.setUp();
        wallet = new OneSignatureWallet();
        fund(address(wallet));
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ orders

    /// @notice P-25: a client that is a contract signs orders with bytes of any length, none too.
    function testAContractSignsOrders(bytes calldata signature) external {
        Fill memory fill = ofClient(address(wallet), signature);
        assertRefused(fill, Refusal.BadSignature);

        wallet.approve(market.orderId(fill.order), signature);
        open(fill);

        vm.assertEq(uint8(market.statusOf(fill.order)), uint8(Status.Open), "open");
    }

    /// @notice P-25: a contract that approved one order approved no other, and no other bytes.
    function testAContractSignsOneOrder() external {
        Fill memory fill = ofClient(address(wallet), ANY);
        wallet.approve(market.orderId(fill.order), ANY);
        fill.signature = "other bytes";
        assertRefused(fill, Refusal.BadSignature);

        fill.signature = ANY;
        fill.order.salt = 2;
        assertRefused(fill, Refusal.BadSignature);
    }

    /// @notice P-25: an acceptor that is a contract acts for the client's side, but does not sign its orders.
    function testAContractThatIsTheAcceptorSignsNoOrders() external {
        Fill memory fill = aFill(anOrder());
        fill.order.acceptor = address(wallet);
        fill.signature = ANY;
        wallet.approve(market.orderId(fill.order), ANY);

        assertRefused(fill, Refusal.BadSignature);
    }

    /// @notice P-20: a contract opens its own order by calling, and is not asked.
    function testAContractOpensItsOwnOrder() external {
        Fill memory fill = ofClient(address(wallet), "");

        openAs(address(wallet), fill);

        vm.assertEq(uint8(market.statusOf(fill.order)), uint8(Status.Open), "open");
    }

    /// @notice P-25: a client that has a key and code, too, signs with its key, whatever its code says.
    function testAKeyWithCodeSignsWithTheKey() external {
        vm.etch(client, address(new Answer(abi.encode(uint256(0)), true)).code);

        open(anOrder());
    }

    /// @notice P-25: a client that has a key and code, too, signs with its code.
    function testAKeyWithCodeSignsWithTheCode() external {
        vm.etch(client, type(GasWallet).runtimeCode);
        Fill memory fill = aFill(anOrder());
        fill.signature = ANY;

        open(fill);

        vm.assertEq(uint8(market.statusOf(fill.order)), uint8(Status.Open), "open");
    }

    // --------------------------------------------------------------------------------------------------------------------------------- delegates

    /// @notice I-7: a delegate of a contract is charged, and the contract is not asked.
    function testADelegateOfAContractIsCharged() external {
        Fill memory fill = ofClient(address(wallet), "");
        fill.signature = sign(STRANGER_KEY, market.orderId(fill.order));
        authorize(total(fill.order) + TIP, NOW + 1);

        open(fill);

        (uint128 left,) = market.budgetOf(address(wallet), stranger);
        vm.assertEq(left, 0, "charged");
    }

    /// @notice I-7 (2): no contract's approval makes up for a delegate's budget.
    function testADelegateOfAContractOverItsBudget() external {
        Fill memory fill = ofClient(address(wallet), "");
        fill.signature = sign(STRANGER_KEY, market.orderId(fill.order));
        wallet.approve(market.orderId(fill.order), fill.signature);
        authorize(total(fill.order) + TIP - 1, NOW + 1);

        assertRefused(fill, Refusal.OverBudget);
    }

    /// @notice I-7: whose time as a delegate is over may still be one whose signature the contract approves; then nothing is charged.
    function testAFormerDelegateOfAContract() external {
        Fill memory fill = ofClient(address(wallet), "");
        fill.signature = sign(STRANGER_KEY, market.orderId(fill.order));
        authorize(1, NOW);
        assertRefused(fill, Refusal.BadSignature);

        wallet.approve(market.orderId(fill.order), fill.signature);
        open(fill);

        (uint128 left,) = market.budgetOf(address(wallet), stranger);
        vm.assertEq(left, 1, "not charged");
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- receipts

    /// @notice P-25 (34): a client that is a contract signs receipts.
    function testAContractThatIsTheClientSignsReceipts() external {
        Order memory order = ofClient(address(wallet), "").order;
        openAs(address(wallet), aFill(order));
        skip(100);
        Settlement memory settlement = aSettlement(order, 100, true);
        settlement.clientSignature = ANY;
        assertSettlementRefused(settlement, Refusal.BadClientSignature);

        wallet.approve(market.receiptId(receiptOf(order, 100, true)), ANY);
        settle(settlement);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "settled");
    }

    /// @notice P-26 (34): an acceptor that is a contract signs receipts for the client: so verification plugs in.
    function testAContractThatIsTheAcceptorSignsReceipts() external {
        Order memory order = anOrder();
        order.acceptor = address(wallet);
        open(order);
        skip(100);
        Settlement memory settlement = aSettlement(order, 100, true);
        settlement.clientSignature = ANY;
        assertSettlementRefused(settlement, Refusal.BadClientSignature);

        wallet.approve(market.receiptId(receiptOf(order, 100, true)), ANY);
        settle(settlement);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "settled");
    }

    /// @notice P-25 (34): where both are contracts, the acceptor's yes is enough, whatever the client's does.
    function testAnAcceptorsYesIsEnough() external {
        Order memory order = ofClient(address(new BurningWallet()), "").order;
        fund(order.client);
        order.acceptor = address(wallet);
        openAs(order.client, aFill(order));
        skip(100);
        Settlement memory settlement = aSettlement(order, 100, true);
        settlement.clientSignature = ANY;
        assertSettlementRefused(settlement, Refusal.BadClientSignature);

        wallet.approve(market.receiptId(receiptOf(order, 100, true)), ANY);
        settle(settlement);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "settled");
    }

    /// @notice P-25 (35): a provider that is a contract signs last receipts, and nobody signs for it.
    function testAContractThatIsTheProviderSignsReceipts() external {
        offer = list(address(wallet));
        Order memory order = anOrder();
        open(order);
        skip(100);
        Settlement memory settlement = aSettlement(order, 100, true);
        assertSettlementRefused(settlement, Refusal.BadProviderSignature);
        settlement.providerSignature = ANY;
        assertSettlementRefused(settlement, Refusal.BadProviderSignature);

        wallet.approve(market.receiptId(receiptOf(order, 100, true)), ANY);
        settle(settlement);

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "settled");
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- answers

    /// @notice P-25: the magic word alone is a yes.
    function testTheMagicWordIsAYes() external {
        assertAnswer(abi.encode(YES), false, Refusal.None);
        assertAnswer(abi.encode(YES, uint256(1)), false, Refusal.None);
    }

    /// @notice P-25: anything else is a no: another word, a dirty or a shifted one, a short one, none, and a reverted one.
    function testAnythingElseIsANo() external {
        assertAnswer(abi.encode(uint256(YES) | 1), false, Refusal.BadSignature);
        assertAnswer(abi.encode(uint256(YES) >> 224), false, Refusal.BadSignature);
        assertAnswer(abi.encode(true), false, Refusal.BadSignature);
        assertAnswer(abi.encode(type(uint256).max), false, Refusal.BadSignature);
        assertAnswer(abi.encodePacked(bytes4(YES)), false, Refusal.BadSignature);
        assertAnswer(abi.encodePacked(bytes31(YES)), false, Refusal.BadSignature);
        assertAnswer("", false, Refusal.BadSignature);
        assertAnswer(abi.encode(YES), true, Refusal.BadSignature);
    }

    /// @notice P-25: the call is static: a contract that wants to write says nothing.
    function testTheCallIsStatic() external {
        assertAnswers(address(new WritingWallet()), Refusal.BadSignature);
    }

    // --------------------------------------------------------------------------------------------------------------------------------------- gas

    /// @notice P-25: a contract is asked with 100,000 gas, however much there is.
    function testTheGasIsCapped() external {
        assertAnswers(address(new GasWallet()), Refusal.None);
    }

    /// @notice P-25: a contract that burns its gas costs little more than that, and stops no other fill.
    function testABurntContractStopsNoOther() external {
        Fill[] memory fills = new Fill[](2);
        fills[0] = ofClient(address(new BurningWallet()), ANY);
        fund(fills[0].order.client);
        fills[1] = aFill(anOrder());
        uint256 left = gasleft();
        vm.prank(opener);
        market.open(fills, ROUND);

        vm.assertLe(left - gasleft(), 230_000, "gas");
        vm.assertEq(uint8(market.statusOf(fills[0].order)), uint8(Status.None), "refused");
        vm.assertEq(uint8(market.statusOf(fills[1].order)), uint8(Status.Open), "opened");
    }

    /// @notice P-25: of a long answer 32 bytes are copied: nobody makes the market pay for the rest.
    function testALongAnswerIsNotCopied() external {
        Fill memory fill = ofClient(address(new BombingWallet()), ANY);
        fund(fill.order.client);
        uint256 left = gasleft();
        open(fill);

        vm.assertEq(uint8(market.statusOf(fill.order)), uint8(Status.Open), "it is a yes");
        vm.assertLe(left - gasleft(), 170_000, "gas");
    }

    /// @notice P-25, I-9: with however little gas a batch is sent, a fill that holds opens, or the whole batch reverts: nobody starves it.
    function testAFillIsNeverStarved() external {
        Fill[] memory fills = new Fill[](1);
        fills[0] = ofClient(address(new GasWallet()), ANY);
        fund(fills[0].order.client);
        bytes memory payload = abi.encodeCall(market.open, (fills, ROUND));

        vm.assertTrue(starved(payload), "it was too little at least once");

        vm.assertEq(uint8(market.statusOf(fills[0].order)), uint8(Status.Open), "it opens with enough");
    }

    /// @notice P-25, I-9: nor does anybody starve a receipt.
    function testAReceiptIsNeverStarved() external {
        Order memory order = ofClient(address(new GasWallet()), ANY).order;
        fund(order.client);
        openAs(order.client, aFill(order));
        skip(100);
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = aSettlement(order, 100, true);
        settlements[0].clientSignature = ANY;
        bytes memory payload = abi.encodeCall(market.settle, (settlements));

        vm.assertTrue(starved(payload), "it was too little at least once");

        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "it settles with enough");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    /// @notice Sends the payload with more and more gas until it succeeds, and says whether the market ever said that it was too little.
    function starved(bytes memory payload) private returns (bool isTooLow) {
        for (uint256 gas = 20_000; gas < 600_000; gas += 1_000) {
            vm.prank(opener);
            (bool succeeded, bytes memory answer) = address(market).call{gas: gas}(payload);
            if (succeeded) return isTooLow;
            isTooLow = isTooLow || bytes4(answer) == IComputeMarket.GasTooLow.selector;
        }
        revert("never succeeds");
    }

    function fund(address account) private {
        dollar.mint(address(this), 100 * DOLLAR);
        dollar.approve(address(market), 100 * DOLLAR);
        market.deposit(account, 100 * DOLLAR);
    }

    function ofClient(address who, bytes memory signature) private view returns (Fill memory fill) {
        Order memory order = anOrder();
        order.client = who;
        return Fill({order: order, offer: offer, price: PRICE, signature: signature});
    }

    function authorize(uint256 budget, uint256 until) private {
        vm.prank(address(wallet));
        market.authorize(stranger, uint128(budget), uint40(until));
    }

    function assertAnswer(bytes memory answer, bool reverts, Refusal expected) private {
        assertAnswers(address(new Answer(answer, reverts)), expected);
    }

    /// @notice What a fill of a client that is this contract comes to.
    function assertAnswers(address who, Refusal expected) private {
        fund(who);
        Fill memory fill = ofClient(who, ANY);
        fill.order.gpus = 1;
        if (expected == Refusal.None) {
            open(fill);
            vm.assertEq(uint8(market.statusOf(fill.order)), uint8(Status.Open), "a yes");
        } else {
            assertRefused(fill, expected);
        }
    }
}
