// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {IComputeMarket, Order, Receipt, Settlement} from "../../contracts/interfaces/IComputeMarket.sol";
import {Orders} from "../../contracts/libraries/Orders.sol";
import {Signatures} from "../../contracts/libraries/Signatures.sol";
import {Test, Vm} from "./Test.sol";
import {Answer} from "./wallets/AwkwardWallets.sol";

/// @notice Every function that is written in assembly, against its plain twin.
contract TwinsTest is Test {
    /// @notice P-25: an order's digest is what abi.encode makes of it.
    function testOrderDigestTwin(Order calldata order, bytes32 domain) external pure {
        vm.assertEq(Orders.digestOf(order, domain), plainOrderDigest(order, domain), "digest");
    }

    /// @notice P-25: a receipt's digest is what abi.encode makes of it, given whole or as a settlement proposes it.
    function testReceiptDigestTwin(Settlement calldata settlement, Receipt calldata receipt, bytes32 domain)
        external
        pure
    {
        bytes32 plain =
            MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(Orders.RECEIPT_TYPEHASH, receipt)));
        vm.assertEq(Orders.digestOf(receipt, domain), plain, "whole");

        Receipt memory proposed = Receipt({
            lease: receipt.lease,
            offer: receipt.offer,
            openedAt: receipt.openedAt,
            usedSeconds: settlement.usedSeconds,
            result: settlement.result,
            last: settlement.last
        });
        plain = MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(Orders.RECEIPT_TYPEHASH, proposed)));
        bytes32 digest = Orders.receiptDigestOf(settlement, domain, receipt.lease, receipt.offer, receipt.openedAt);
        vm.assertEq(digest, plain, "as a settlement proposes it");
    }

    /// @notice P-25: a settlement whose fields do not fit their types has no digest, as it would have none by abi.encode.
    function testReceiptDigestOfDirtyBitsReverts(Settlement calldata settlement) external view {
        uint256[2] memory words = [uint256(16), 18];
        uint256[2] memory widths = [uint256(32), 1];
        for (uint256 i = 0; i < 2; ++i) {
            bytes memory payload = abi.encodeCall(this.receiptDigestOf, (settlement));
            // Selector, offset of the settlement.
            uint256 position = 4 + 32 + (words[i] + 1) * 32;
            uint256 dirt = 1 << widths[i];
            assembly {
                mstore(add(payload, position), or(mload(add(payload, position)), dirt))
            }

            (bool succeeded,) = address(this).staticcall(payload);

            vm.assertFalse(succeeded, "no digest");
        }
        this.receiptDigestOf(settlement);
    }

    /// @notice I-12: an opening is logged as `emit LeaseOpened` would.
    function testLogOpenedTwin(Order calldata order, bytes32 id, uint40 offer, uint80 price) external {
        vm.recordLogs();
        Orders.logOpened(order, id, offer, price);
        emit IComputeMarket.LeaseOpened(id, offer, order.client, msg.sender, price, order);

        Vm.Log[] memory logs = vm.getRecordedLogs();
        vm.assertEq(logs.length, 2, "one each");
        vm.assertEq(keccak256(abi.encode(logs[0])), keccak256(abi.encode(logs[1])), "the same");
    }

    /// @notice P-20: every field is read as Solidity reads it.
    function testFieldsTwin(Order calldata order) external pure {
        Order memory read_ = Order({
            client: Orders.clientOf(order),
            classes: order.classes,
            offer: Orders.offerOf(order),
            gpus: Orders.gpusOf(order),
            maxSeconds: Orders.maxSecondsOf(order),
            minSeconds: Orders.minSecondsOf(order),
            maxPrice: Orders.maxPriceOf(order),
            minBondBps: Orders.minBondBpsOf(order),
            startsAt: Orders.startsAtOf(order),
            expiresAt: Orders.expiresAtOf(order),
            tip: Orders.tipOf(order),
            opener: Orders.openerOf(order),
            acceptor: Orders.acceptorOf(order),
            arbiter: Orders.arbiterOf(order),
            spec: order.spec,
            salt: order.salt
        });

        vm.assertEq(keccak256(abi.encode(read_)), keccak256(abi.encode(order)), "the order");
    }

    /// @notice P-25: whoever signed is who OpenZeppelin's library says signed, of any 65 bytes, and of any other number nobody.
    function testSignerTwin(uint256 key, bytes32 digest, bytes calldata noise, uint8 change) external view {
        key = bound(key, 1, type(uint128).max);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        bytes memory signature = abi.encodePacked(r, s, v);
        vm.assertEq(this.signerOf(digest, signature), vm.addr(key), "the key's");
        signature[change % 65] ^= bytes1(uint8(1) << (change % 8));

        vm.assertEq(this.signerOf(digest, signature), plainSigner(digest, signature), "changed in one bit");
        vm.assertEq(this.signerOf(digest, noise), noise.length == 65 ? plainSigner(digest, noise) : address(0), "noise");
    }

    /// @notice P-25: a contract's answer is the first word that it returns, and 0 where it returns less, or reverts.
    function testAnswerTwin(bytes calldata answer, bool reverts, bytes calldata question) external {
        address wallet = address(new Answer(answer, reverts));

        vm.assertEq(Signatures.answerOf(wallet, question), plainAnswer(wallet, question), "the answer");
        vm.assertEq(Signatures.answerOf(address(0xE0A), question), plainAnswer(address(0xE0A), question), "nobody's");
    }

    // ------------------------------------------------------------------------------------------------------------------------------- plain twins

    /// @notice Takes calldata that is not checked yet.
    function receiptDigestOf(Settlement calldata settlement) external pure returns (bytes32) {
        return Orders.receiptDigestOf(settlement, 0, 0, 0, 0);
    }

    /// @notice Makes memory calldata.
    function signerOf(bytes32 digest, bytes calldata signature) external pure returns (address) {
        return Signatures.signerOf(digest, signature);
    }

    function plainOrderDigest(Order calldata order, bytes32 domain) private pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(Orders.ORDER_TYPEHASH, order)));
    }

    function plainSigner(bytes32 digest, bytes memory signature) private pure returns (address signer) {
        (signer,,) = ECDSA.tryRecover(digest, signature);
    }

    function plainAnswer(address wallet, bytes memory question) private view returns (bytes32) {
        (bool succeeded, bytes memory answer) = wallet.staticcall{gas: Signatures.WALLET_GAS}(question);
        return succeeded && answer.length >= 32 ? bytes32(answer) : bytes32(0);
    }
}
