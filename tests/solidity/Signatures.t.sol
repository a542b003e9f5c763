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
} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice Who signed what: EIP-712 digests, malformed signatures, replay (P-25).
contract SignaturesTest is MarketTest {
    uint256 internal constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    // ----------------------------------------------------------------------------------------------------------------------------------- digests

    /// @notice P-25: an order's id is its EIP-712 digest, computed here from the type's text, field by field.
    function testOrderIdIsItsEip712Digest(Order calldata order) external view {
        bytes32 typeHash = keccak256(
            "Order(address client,uint256 classes,uint40 offer,uint16 gpus,uint32 maxSeconds,uint32 minSeconds,uint80 maxPrice,"
            "uint16 minBondBps,uint40 startsAt,uint40 expiresAt,uint96 tip,address opener,address acceptor,address arbiter,"
            "bytes32 spec,uint256 salt)"
        );
        bytes memory first = abi.encode(
            typeHash,
            order.client,
            order.classes,
            order.offer,
            order.gpus,
            order.maxSeconds,
            order.minSeconds,
            order.maxPrice,
            order.minBondBps
        );
        bytes memory second = abi.encode(
            order.startsAt,
            order.expiresAt,
            order.tip,
            order.opener,
            order.acceptor,
            order.arbiter,
            order.spec,
            order.salt
        );

        vm.assertEq(
            market.orderId(order), digest(keccak256(bytes.concat(first, second)), block.chainid, address(market)), "id"
        );
    }

    /// @notice P-25: so is a receipt's.
    function testReceiptIdIsItsEip712Digest(Receipt calldata receipt) external view {
        bytes32 typeHash = keccak256(
            "Receipt(bytes32 lease,uint40 offer,uint40 openedAt,uint32 usedSeconds,bytes32 result,bool last)"
        );
        bytes32 structHash = keccak256(
            abi.encode(
                typeHash,
                receipt.lease,
                receipt.offer,
                receipt.openedAt,
                receipt.usedSeconds,
                receipt.result,
                receipt.last
            )
        );

        vm.assertEq(market.receiptId(receipt), digest(structHash, block.chainid, address(market)), "id");
    }

    // --------------------------------------------------------------------------------------------------------------------------------- malformed

    /// @notice P-25 (1, 34, 35): a malformed signature is a refusal, in every place where one is read.
    function testMalformedSignaturesAreRefused() external {
        Fill memory fill = aFill(anOrder());
        Order memory order = anOrder();
        order.salt = 2;
        open(order);
        skip(100);
        Settlement memory settlement = aSettlement(order, 100, true);

        for (uint256 i = 0; i < 10; ++i) {
            Fill memory badFill = aFill(anOrder());
            badFill.signature = malformed(fill.signature, i);
            assertRefused(badFill, Refusal.BadSignature);

            Settlement memory bad = aSettlement(order, 100, true);
            bad.clientSignature = malformed(settlement.clientSignature, i);
            assertSettlementRefused(bad, Refusal.BadClientSignature);

            bad = aSettlement(order, 100, true);
            bad.providerSignature = malformed(settlement.providerSignature, i);
            assertSettlementRefused(bad, Refusal.BadProviderSignature);
        }
    }

    /// @notice P-25: bytes of any content and length never revert, and never sign.
    function testArbitraryBytesAreRefused(bytes calldata noise) external {
        Fill memory fill = aFill(anOrder());
        fill.signature = noise;

        assertRefused(fill, Refusal.BadSignature);
    }

    /// @notice P-25: nobody is address 0: what recovers to 0 does not sign for an order whose client is 0.
    function testNobodySignsForAddressZero() external {
        Order memory order = anOrder();
        order.client = address(0);
        order.maxPrice = 0;
        order.opener = address(0);
        order.tip = 0;
        vm.prank(provider);
        market.reprice(offer, 0, uint40(NOW + 1 days));
        Fill memory fill = aFill(order);
        fill.price = 0;
        fill.signature = new bytes(65);

        assertRefused(fill, Refusal.BadSignature);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ replay

    /// @notice A signature for this market is worthless on another market of the same chain.
    function testAnOrderOfAnotherMarketIsRefused() external {
        Fill memory fill = aFill(anOrder());
        IComputeMarket other = deployMarket(address(dollar));
        vm.assertTrue(other.orderId(fill.order) != market.orderId(fill.order), "another id");
        market = other;
        deposit(client, 100 * DOLLAR);
        deposit(provider, 100 * DOLLAR);
        offer = list(provider);

        assertRefused(fill, Refusal.BadSignature);
    }

    /// @notice A signature for this chain is worthless after a fork gave it another id, also for a market that was deployed before.
    function testAnOrderOfAnotherChainIsRefused() external {
        Fill memory fill = aFill(anOrder());
        bytes32 id = market.orderId(fill.order);

        vm.chainId(block.chainid + 1);

        vm.assertTrue(market.orderId(fill.order) != id, "another id");
        assertRefused(fill, Refusal.BadSignature);
    }

    /// @notice A receipt of this chain is worthless on another: there is no such lease.
    function testAReceiptOfAnotherChainIsRefused() external {
        Order memory order = anOrder();
        open(order);
        skip(100);
        Settlement memory settlement = aSettlement(order, 100, true);

        vm.chainId(block.chainid + 1);

        assertSettlementRefused(settlement, Refusal.NotLive);
    }

    /// @notice I-5: an order is served once: after cancel, settle, terminate, expire, finalize and a paid decline its signature is spent.
    function testAClosedOrderIsNeverReplayed() external {
        for (uint256 i = 0; i < 6; ++i) {
            Order memory order = anOrder();
            order.salt = i;
            order.expiresAt = type(uint40).max;
            vm.prank(provider);
            market.reprice(offer, PRICE, type(uint40).max);
            close(order, i);
            skip(1);

            assertRefused(aFill(order), Refusal.OrderClosed);
            assertRefusedFrom(client, aFill(order), Refusal.OrderClosed);
        }
    }

    function close(Order memory order, uint256 how) private {
        if (how != 0) open(order);
        if (how == 0) {
            vm.prank(client);
            market.cancel(order);
        } else if (how == 1) {
            settle(aSettlement(order, 0, true));
        } else if (how == 2) {
            vm.prank(client);
            market.terminate(order);
        } else if (how == 3) {
            skip(MAX_SECONDS + CLAIM_GRACE);
            market.expire(order);
        } else if (how == 4) {
            skip(MIN_SECONDS);
            claim(order, 0);
            skip(CHALLENGE_WINDOW);
            finalize(order);
        } else {
            pay(order, 1);
            vm.prank(provider);
            market.decline(order);
        }
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "closed");
    }

    /// One of ten ways to spoil a signature without changing who meant it.
    function malformed(bytes memory signature, uint256 way) private pure returns (bytes memory) {
        bytes32 r;
        bytes32 s;
        assembly {
            r := mload(add(signature, 0x20))
            s := mload(add(signature, 0x40))
        }
        uint8 v = uint8(signature[64]);
        bytes32 highS = bytes32(CURVE_ORDER - uint256(s));
        uint8 otherV = v == 27 ? 28 : 27;
        if (way == 0) return abi.encodePacked(r, highS, otherV);
        if (way == 1) return abi.encodePacked(r, bytes32(uint256(s) | uint256(v - 27) << 255));
        if (way == 2) return abi.encodePacked(signature, uint8(0));
        if (way == 3) return new bytes(65);
        if (way == 4) return abi.encodePacked(r, s, v - 27);
        if (way == 5) return abi.encodePacked(r, s, otherV);
        if (way == 6) return abi.encodePacked(r, s);
        if (way == 7) return abi.encodePacked(bytes32(0), s, v);
        if (way == 8) return abi.encodePacked(r, bytes32(0), v);
        return abi.encodePacked(v, r, s);
    }

    function digest(bytes32 structHash, uint256 chainId, address verifier) private pure returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("ComputeMarket"),
                keccak256("1"),
                chainId,
                verifier
            )
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }
}
