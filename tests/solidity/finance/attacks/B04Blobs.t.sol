// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    Fill,
    IComputeMarket,
    Order,
    Receipt,
    Refusal,
    Settlement,
    Status
} from "../../../../contracts/interfaces/IComputeMarket.sol";
import {NaiveTest} from "./NaiveTest.sol";

/// @notice B04: signatures of a company that carry something else than they should.
contract BlobsAttack is NaiveTest {
    uint256 private constant WALLET_GAS = 100_000;

    /// @notice B04: a naive company signs an order as its client, and its operator spends the owner's money on any GPU at any price.
    function testB04ANaiveCompanyIsMadeAClient() external {
        Order memory order = boughtBy(address(naive));
        openSigned(order, sign(OPERATOR_KEY, market.orderId(order)));

        assertStatus(order, Status.Open, "it pays");
    }

    /// @notice B04, S-2: here no blob is valid for an order, whatever receipt it carries.
    function testB04HereNoOrderIsSigned() external {
        Receipt memory receipt = receiptOf(serveMonth(), 5, true);
        Order memory order = boughtBy(address(spv));
        bytes32 digest = market.orderId(order);
        bytes[3] memory blobs = [
            sign(OPERATOR_KEY, digest), abi.encode(receipt, sign(OPERATOR_KEY, digest)), blobOf(receipt, OPERATOR_KEY)
        ];
        for (uint256 i = 0; i < 3; ++i) {
            openSigned(order, blobs[i]);
            assertStatus(order, Status.None, "not the client");
        }
    }

    /// @notice B04: a receipt of another lease, of another serving, for other seconds, or not last, signs none but itself.
    function testB04AnotherReceipt() external {
        Order memory order = pledgedMonth(0);
        bytes32 digest = market.receiptId(receiptOf(order, 5 days, true));
        Receipt[4] memory others;
        for (uint256 i = 0; i < 4; ++i) {
            others[i] = receiptOf(order, 5 days, true);
        }
        others[0].lease = keccak256("another");
        others[1].openedAt += 1;
        others[2].usedSeconds += 1;
        others[3].last = false;

        for (uint256 i = 0; i < 4; ++i) {
            assertInvalid(digest, blobOf(others[i], OPERATOR_KEY));
            assertInvalid(digest, abi.encode(others[i], sign(OPERATOR_KEY, digest)));
        }
    }

    /// @notice B04: nor does one for another market, or another chain.
    function testB04AnotherMarketAndChain() external {
        Order memory order = serveMonth();
        Receipt memory receipt = receiptOf(order, 5, true);
        IComputeMarket other = deployMarket(address(dollar));
        bytes32 foreign = other.receiptId(receipt);
        bytes32 digest = market.receiptId(receipt);
        bytes memory here = blobOf(receipt, OPERATOR_KEY);

        assertInvalid(foreign, abi.encode(receipt, sign(OPERATOR_KEY, foreign)));
        vm.chainId(4_242);
        assertInvalid(digest, here);
    }

    /// @notice B04: of a good blob every prefix, and every bit that is turned, is no signature.
    function testB04DamagedBlobs(uint16 length, uint16 where, uint8 bit) external {
        Order memory order = serveMonth();
        Receipt memory receipt = receiptOf(order, 5, true);
        bytes32 digest = market.receiptId(receipt);
        bytes memory blob = blobOf(receipt, OPERATOR_KEY);
        bytes memory prefix = new bytes(bound(length, 0, blob.length - 1));
        for (uint256 i = 0; i < prefix.length; ++i) {
            prefix[i] = blob[i];
        }
        assertInvalid(digest, prefix);

        uint256 place = bound(where, 0, blob.length - 1);
        blob[place] = bytes1(uint8(blob[place]) ^ uint8(1 << (bit % 8)));
        assertInvalid(digest, blob);
    }

    /// @notice B04: there is one blob for a receipt: no byte of it can be another, its padding included.
    function testB04EveryByteCounts() external {
        Receipt memory receipt = receiptOf(serveMonth(), 5, true);
        bytes32 digest = market.receiptId(receipt);
        bytes memory blob = blobOf(receipt, OPERATOR_KEY);
        for (uint256 i = 0; i < blob.length; ++i) {
            blob[i] = bytes1(uint8(blob[i]) ^ 1);
            assertInvalid(digest, blob);
            blob[i] = bytes1(uint8(blob[i]) ^ 1);
        }
        vm.assertEq(bytes32(spv.isValidSignature(digest, blob)), bytes32(VALID), "unchanged it is valid");
    }

    /// @notice B04: a blob with 64 kB behind it, or a signature of that length in it, is none, and costs the market little.
    function testB04LongBlobs() external {
        Order memory order = serveMonth();
        Receipt memory receipt = receiptOf(order, 5, true);
        bytes32 digest = market.receiptId(receipt);
        bytes memory blob = blobOf(receipt, OPERATOR_KEY);

        assertInvalid(digest, abi.encodePacked(blob, new bytes(65_536)));
        assertInvalid(digest, abi.encode(receipt, new bytes(65_536)));
        Settlement memory settlement = agreed(order, 5);
        settlement.providerSignature = abi.encodePacked(blob, new bytes(65_536));
        assertSettlementRefused(settlement, Refusal.BadProviderSignature);
    }

    /// @notice B04, P-25: all cold and below the clock's floor, so that the creditor is asked, it answers within a third of the market's cap.
    function testB04TheAnswerIsCheap() external {
        Order memory order = pledgedMonth(DOLLAR);
        skip(25 days);
        Receipt memory receipt = receiptOf(order, 20 days, true);
        bytes32 digest = market.receiptId(receipt);
        bytes memory blob = blobOf(receipt, OPERATOR_KEY);
        uint256 before = gasleft();
        bytes4 answer = spv.isValidSignature(digest, blob);
        uint256 used = before - gasleft();

        vm.assertEq(bytes32(answer), bytes32(VALID), "valid");
        vm.assertLe(used, WALLET_GAS / 3, "gas");
    }

    /// @notice B04, P-25: with however little gas somebody posts it, an agreed receipt settles or the whole batch reverts: it is never refused.
    function testB04StarvedOfGas(uint256 gas) external {
        Order memory order = pledgedMonth(DOLLAR);
        skip(25 days);
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = agreed(order, 20 days);
        gas = bound(gas, 30_000, 400_000);
        vm.prank(stranger);
        try market.settle{gas: gas}(settlements) {
            assertStatus(order, Status.Closed, "not refused");
        } catch {}
    }

    function boughtBy(address buyer) private returns (Order memory order) {
        offer = list(provider);
        order = anOrder();
        (order.client, order.tip, order.opener, order.acceptor) = (buyer, 0, address(0), address(0));
    }

    function openSigned(Order memory order, bytes memory signature) private {
        Fill memory fill = aFill(order);
        fill.signature = signature;
        openAs(stranger, fill);
    }

    /// @notice It says no, or fails, which to the market is the same.
    function assertInvalid(bytes32 digest, bytes memory blob) private view {
        try spv.isValidSignature{gas: WALLET_GAS}(digest, blob) returns (bytes4 answer) {
            vm.assertEq(bytes32(answer), bytes32(INVALID), "not signed");
        } catch {}
    }
}
