// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {Order, Receipt} from "../interfaces/IComputeMarket.sol";

/// @title Orders
/// @notice EIP-712: what clients and providers sign, and who signed it.
library Orders {
    bytes32 internal constant ORDER_TYPEHASH = keccak256(
        "Order(address client,uint256 classes,uint40 offer,uint16 gpus,uint32 maxSeconds,uint32 minSeconds,uint80 maxPrice,"
        "uint16 minBondBps,uint40 startsAt,uint40 expiresAt,uint96 tip,address opener,address acceptor,address arbiter,"
        "bytes32 spec,uint256 salt)"
    );
    bytes32 internal constant RECEIPT_TYPEHASH =
        keccak256("Receipt(bytes32 lease,uint40 offer,uint40 openedAt,uint32 usedSeconds,bytes32 result,bool last)");

    /// @notice The id of an order: its digest under `domain`.
    function digestOf(Order calldata order, bytes32 domain) internal pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(ORDER_TYPEHASH, order)));
    }

    /// @notice What both sides sign about a lease.
    function digestOf(Receipt memory receipt, bytes32 domain) internal pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(RECEIPT_TYPEHASH, receipt)));
    }

    /// @notice Who signed `digest`, or 0: only 65 bytes with a low s and a v of 27 or 28 name anybody (P-25).
    /// Compare with care: an absent acceptor is 0 too.
    function signerOf(bytes32 digest, bytes calldata signature) internal pure returns (address signer) {
        (signer,,) = ECDSA.tryRecoverCalldata(digest, signature);
    }
}
