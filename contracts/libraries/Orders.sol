// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {IComputeMarket, Order, Receipt} from "../interfaces/IComputeMarket.sol";

/// @title Orders
/// @notice EIP-712: what clients and providers sign.
/// @dev An order is 16 static fields, so its calldata is exactly what the struct hash and the log need: two functions copy it in one piece, which
/// saves a tenth of a fill's gas. Their plain twins are in the tests.
library Orders {
    bytes32 internal constant ORDER_TYPEHASH = keccak256(
        "Order(address client,uint256 classes,uint40 offer,uint16 gpus,uint32 maxSeconds,uint32 minSeconds,uint80 maxPrice,"
        "uint16 minBondBps,uint40 startsAt,uint40 expiresAt,uint96 tip,address opener,address acceptor,address arbiter,"
        "bytes32 spec,uint256 salt)"
    );
    bytes32 internal constant RECEIPT_TYPEHASH =
        keccak256("Receipt(bytes32 lease,uint40 offer,uint40 openedAt,uint32 usedSeconds,bytes32 result,bool last)");

    uint256 private constant ORDER_BYTES = 16 * 32;

    /// @notice The id of an order: its digest under `domain`. Reverts like the ABI decoder if a field does not fit its type.
    function digestOf(Order calldata order, bytes32 domain) internal pure returns (bytes32) {
        bytes32 typeHash = ORDER_TYPEHASH;
        bytes32 structHash;
        // Safe: writes to free memory only. The fields that are narrower than a word, in their order, shifted by their widths: a bit that is left
        // would be a second calldata for the same order, with another id, and a log that nobody can decode.
        assembly ("memory-safe") {
            let excess := shr(160, calldataload(order))
            excess := or(excess, shr(40, calldataload(add(order, 0x40))))
            excess := or(excess, shr(16, calldataload(add(order, 0x60))))
            excess := or(excess, shr(32, calldataload(add(order, 0x80))))
            excess := or(excess, shr(32, calldataload(add(order, 0xa0))))
            excess := or(excess, shr(80, calldataload(add(order, 0xc0))))
            excess := or(excess, shr(16, calldataload(add(order, 0xe0))))
            excess := or(excess, shr(40, calldataload(add(order, 0x100))))
            excess := or(excess, shr(40, calldataload(add(order, 0x120))))
            excess := or(excess, shr(96, calldataload(add(order, 0x140))))
            excess := or(excess, shr(160, calldataload(add(order, 0x160))))
            excess := or(excess, shr(160, calldataload(add(order, 0x180))))
            excess := or(excess, shr(160, calldataload(add(order, 0x1a0))))
            if excess { revert(0, 0) }

            let free := mload(0x40)
            mstore(free, typeHash)
            calldatacopy(add(free, 0x20), order, ORDER_BYTES)
            structHash := keccak256(free, add(ORDER_BYTES, 0x20))
        }
        return MessageHashUtils.toTypedDataHash(domain, structHash);
    }

    /// @notice Emits LeaseOpened of an order whose digest was taken, and whose fields so fit their types.
    function logOpened(Order calldata order, bytes32 id, uint40 offer, address opener, uint80 price) internal {
        bytes32 topic = IComputeMarket.LeaseOpened.selector;
        address client = order.client;
        // Safe: writes to free memory only.
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, opener)
            mstore(add(free, 0x20), price)
            calldatacopy(add(free, 0x40), order, ORDER_BYTES)
            log4(free, add(ORDER_BYTES, 0x40), topic, id, offer, client)
        }
    }

    /// @notice What both sides sign about a lease.
    function digestOf(Receipt memory receipt, bytes32 domain) internal pure returns (bytes32) {
        return MessageHashUtils.toTypedDataHash(domain, keccak256(abi.encode(RECEIPT_TYPEHASH, receipt)));
    }
}
