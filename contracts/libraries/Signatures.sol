// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

import {IComputeMarket, Order} from "../interfaces/IComputeMarket.sol";
import {Orders} from "./Orders.sol";

/// @title Signatures
/// @notice Who signed a digest (P-25): the holder of a key, or a contract that says so (EIP-1271).
library Signatures {
    using Orders for Order;

    // Of secp256k1. For each signature with a lower s there is one with a higher.
    uint256 private constant HALF_CURVE_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    uint256 internal constant WALLET_GAS = 100_000;
    // What must be left before the call so that the wallet gets all of its gas: a call passes on at most 63/64, after paying for a cold account.
    uint256 internal constant GAS_NEEDED = WALLET_GAS * 64 / 63 + 5_000;

    /// @notice Who signed `digest` with a key, or 0: only 65 bytes with a low s and a v of 27 or 28 name anybody.
    /// Compare with care: an absent acceptor is 0 too.
    function signerOf(bytes32 digest, bytes calldata signature) internal pure returns (address) {
        if (signature.length != 65) return address(0);
        bytes32 r;
        bytes32 s;
        uint8 v;
        // Slices would check the length again for each part. Safe: only reads, and there are 65 bytes.
        assembly ("memory-safe") {
            r := calldataload(signature.offset)
            s := calldataload(add(signature.offset, 0x20))
            v := byte(0, calldataload(add(signature.offset, 0x40)))
        }
        return uint256(s) > HALF_CURVE_ORDER ? address(0) : ecrecover(digest, v, r, s);
    }

    /// @notice Whether `who` signed `digest`, with its key or as a contract.
    function isSignedBy(address who, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        address signer = signerOf(digest, signature);
        return signer != address(0) && signer == who || isApprovedBy(who, digest, signature);
    }

    /// @notice Whether the client or its acceptor signed `digest`, with a key or as a contract.
    function isSignedByClientSide(Order calldata order, bytes32 digest, bytes calldata signature)
        internal
        view
        returns (bool)
    {
        return order.isClientSide(signerOf(digest, signature)) || isApprovedBy(order.clientOf(), digest, signature)
            || isApprovedBy(order.acceptorOf(), digest, signature);
    }

    /// @notice Whether the contract `wallet` says that `signature` is its own (EIP-1271). Where there is no contract, nobody says so.
    /// Reverts with GasTooLow rather than asking with less gas than it grants: whoever posts a batch must not be able to starve one of its items.
    function isApprovedBy(address wallet, bytes32 digest, bytes calldata signature) internal view returns (bool) {
        if (wallet.code.length == 0) return false;
        // Before the gas is measured: copying a long signature takes some.
        bytes memory question = abi.encodeCall(IERC1271.isValidSignature, (digest, signature));
        uint256 available = gasleft();
        if (available < GAS_NEEDED) revert IComputeMarket.GasTooLow({available: available, needed: GAS_NEEDED});
        return answerOf(wallet, question) == bytes32(IERC1271.isValidSignature.selector);
    }

    /// @notice The first word that `wallet` answers to `question`, or 0 where it fails or says less.
    /// @dev Assembly, because Solidity would copy all that is answered: a wallet could make the market pay for a megabyte. Its plain twin is in the tests.
    function answerOf(address wallet, bytes memory question) internal view returns (bytes32 answer) {
        assembly ("memory-safe") {
            // Static, so nothing can happen meanwhile; the answer goes to scratch space.
            let succeeded := staticcall(WALLET_GAS, wallet, add(question, 0x20), mload(question), 0, 0x20)
            if and(succeeded, gt(returndatasize(), 0x1f)) { answer := mload(0) }
        }
    }
}
