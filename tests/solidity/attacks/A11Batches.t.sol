// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Refusal, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {BombWallet, BurningWallet} from "../wallets/AwkwardWallets.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A11: one poisoned item, at every position of a batch, harms no other item (I-9).
contract BatchesAttack is AttackTest {
    uint256 private constant SIZE = 8;
    address private bomber;

    function setUp() public override {
        super.setUp();
        bomber = address(new BombWallet(1_000_000));
        deposit(bomber, 100 * DOLLAR);
        deposit(stranger, 100 * DOLLAR);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- open

    /// @notice A11: a fill with a bad signature, at every position, is refused alone.
    function testA11PoisonedSignatureInABatchOfFills() external {
        assertOthersOpen(poisonSignature);
    }

    /// @notice A11: a fill on an offer that does not exist, at every position, is refused alone.
    function testA11MissingOfferInABatchOfFills() external {
        assertOthersOpen(poisonOffer);
    }

    /// @notice A11: a fill of a gang that is too large, at every position, is refused alone.
    function testA11OversizedGangInABatchOfFills() external {
        assertOthersOpen(poisonGang);
    }

    /// @notice A11: a fill of a client without money, at every position, is refused alone.
    function testA11PoorClientInABatchOfFills() external {
        assertOthersOpen(poisonBalance);
    }

    /// @notice A11: a fill of a wallet that answers with a megabyte, at every position, is refused alone.
    function testA11BombInABatchOfFills() external {
        assertOthersOpen(poisonWallet);
    }

    /// @notice A11: a fill with the largest number in every field, at every position, is refused alone.
    function testA11LargestNumbersInABatchOfFills() external {
        assertOthersOpen(poisonNumbers);
    }

    /// @notice A11: a fill that repeats another one, at every position, is refused alone.
    function testA11DuplicateInABatchOfFills() external {
        assertOthersOpen(poisonDuplicate);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ settle

    /// @notice A11: a receipt that is badly signed, of no lease, for too many seconds, or of the largest numbers, at every position, is refused alone.
    function testA11PoisonInABatchOfReceipts() external {
        Order[] memory orders = leases();
        skip(600);
        for (uint256 kind = 0; kind < 5; ++kind) {
            for (uint256 place = 0; place < SIZE; ++place) {
                uint256 state = vm.snapshotState();
                Settlement[] memory settlements = new Settlement[](SIZE);
                for (uint256 i = 0; i < SIZE; ++i) {
                    settlements[i] = aSettlement(orders[i], 600, true);
                }
                settlements[place] = poisoned(settlements[place], kind);
                vm.prank(stranger);
                market.settle(settlements);
                assertAllBut(orders, place, Status.Closed, Status.Open);
                vm.revertToState(state);
            }
        }
    }

    /// @notice A11: a receipt that repeats another one, at every position, pays nothing more.
    function testA11DuplicateInABatchOfReceipts() external {
        Order[] memory orders = leases();
        skip(600);
        Book memory before = book();
        for (uint256 place = 0; place < SIZE; ++place) {
            uint256 state = vm.snapshotState();
            Settlement[] memory settlements = new Settlement[](SIZE + 1);
            for (uint256 i = 0; i <= SIZE; ++i) {
                settlements[i] = aSettlement(orders[i == SIZE ? place : i], 600, true);
            }
            market.settle(settlements);
            vm.assertEq(
                book().provider - before.provider, SIZE * (earned(orders[0], 600) + bond(orders[0])), "each paid once"
            );
            vm.revertToState(state);
        }
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- finalize

    /// @notice A11: a finalization of an open, an unknown, a disputed or a too young claim, at every position, is refused alone.
    function testA11PoisonInABatchOfFinalizations() external {
        for (uint256 kind = 0; kind < 4; ++kind) {
            for (uint256 place = 0; place < SIZE; ++place) {
                uint256 state = vm.snapshotState();
                Order[] memory orders = leases();
                Order memory spoilt = orders[place];
                skip(600);
                for (uint256 i = 0; i < SIZE; ++i) {
                    if (i != place || kind == 2) claim(orders[i], 600);
                }
                if (kind == 2) dispute(spoilt);
                skip(kind == 3 ? 1 hours : CHALLENGE_WINDOW);
                if (kind == 3) {
                    claim(spoilt, 600);
                    skip(CHALLENGE_WINDOW - 1 hours);
                }
                Order[] memory batch = leasesAgain(orders);
                if (kind == 1) batch[place].salt = 1e9;
                market.finalize(batch);
                Status left = kind == 2 ? Status.Disputed : kind == 3 ? Status.Claimed : Status.Open;
                assertAllBut(orders, place, Status.Closed, left);
                vm.revertToState(state);
            }
        }
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- sizes

    /// @notice A11: empty batches do nothing.
    function testA11EmptyBatches() external {
        vm.record();
        market.open(new Fill[](0), ROUND);
        market.settle(new Settlement[](0));
        market.finalize(new Order[](0));
        assertNothingWritten();
    }

    /// @notice A11: a batch of 300 refused fills costs less than 15 million gas.
    function testA11GasOfManyRefusals() external {
        Fill[] memory fills = new Fill[](300);
        for (uint256 i = 0; i < fills.length; ++i) {
            fills[i] = poisonSignature(aFill(aFreeOrder(i)));
        }
        vm.prank(opener);
        uint256 before = gasleft();
        market.open(fills, ROUND);

        vm.assertTrue(before - gasleft() < 15_000_000, "within half a block");
    }

    /// @notice A11: a batch of 100 fills and one of 100 receipts each cost less than 15 million gas.
    function testA11GasOfALargeBatch() external {
        vm.prank(provider);
        offer = market.list(CLASS, 100, BOND_BPS, PRICE, 60, uint40(NOW + 30 days), arbiter, "");
        Fill[] memory fills = new Fill[](100);
        Settlement[] memory settlements = new Settlement[](100);
        for (uint256 i = 0; i < fills.length; ++i) {
            fills[i] = aFill(aFreeOrder(i));
        }
        uint256 before = gasleft();
        market.open(fills, ROUND);
        vm.assertTrue(before - gasleft() < 15_000_000, "fills");
        vm.assertEq(market.offerOf(offer).free, 0, "all opened");

        skip(600);
        for (uint256 i = 0; i < fills.length; ++i) {
            settlements[i] = aSettlement(fills[i].order, 600, true);
        }
        before = gasleft();
        market.settle(settlements);
        vm.assertTrue(before - gasleft() < 15_000_000, "receipts");
        vm.assertEq(market.offerOf(offer).free, 100, "all settled");
    }

    /// @notice A11, I-9: a batch equals its items one by one, also when each item needs what the one before it gave.
    function testA11BatchEqualsItsItems(uint256 seed) external {
        Fill[] memory fills = new Fill[](SIZE);
        for (uint256 i = 0; i < SIZE; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            Order memory order = anOrder(i % 6);
            order.gpus = uint16(1 + seed % 4);
            order.client = seed % 5 == 0 ? stranger : client;
            fills[i] = aFill(order);
            if (seed % 5 == 0) fills[i].signature = sign(STRANGER_KEY, market.orderId(order));
            if (seed % 7 == 0) fills[i] = poisonSignature(fills[i]);
        }
        uint256 state = vm.snapshotState();
        vm.prank(opener);
        market.open(fills, ROUND);
        bytes32 together = fingerprint(fills);
        vm.revertToState(state);
        for (uint256 i = 0; i < SIZE; ++i) {
            open(fills[i]);
        }

        vm.assertEq(fingerprint(fills), together, "the same");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- poison

    function poisonSignature(Fill memory fill) private pure returns (Fill memory) {
        fill.signature[7] ^= 0x01;
        return fill;
    }

    function poisonOffer(Fill memory fill) private pure returns (Fill memory) {
        fill.offer = type(uint40).max;
        return fill;
    }

    function poisonGang(Fill memory fill) private view returns (Fill memory) {
        fill.order.gpus = GPUS + 1;
        return aFill(fill.order);
    }

    function poisonBalance(Fill memory fill) private view returns (Fill memory) {
        fill.order.client = acceptor;
        fill.signature = sign(ACCEPTOR_KEY, market.orderId(fill.order));
        return fill;
    }

    function poisonWallet(Fill memory fill) private view returns (Fill memory) {
        fill.order.client = bomber;
        return fill;
    }

    function poisonNumbers(Fill memory fill) private view returns (Fill memory) {
        Order memory order = fill.order;
        (order.maxPrice, order.gpus, order.maxSeconds) = (type(uint80).max, type(uint16).max, type(uint32).max);
        (order.minSeconds, order.tip, order.classes) = (type(uint32).max, type(uint96).max, type(uint256).max);
        (order.opener, order.startsAt, order.expiresAt) = (opener, type(uint40).max, type(uint40).max);
        return aFillAt(order, type(uint80).max);
    }

    function poisonDuplicate(Fill memory fill) private view returns (Fill memory) {
        return aFill(oneGpu(fill.order.salt == 0 ? 1 : fill.order.salt - 1));
    }

    /// A copy: the order is still to be looked at as it was.
    function poisoned(Settlement memory good, uint256 kind) private view returns (Settlement memory settlement) {
        settlement = abi.decode(abi.encode(good), (Settlement));
        if (kind == 0) settlement.clientSignature[3] ^= 0x01;
        else if (kind == 1) settlement.providerSignature[3] ^= 0x01;
        else if (kind == 2) settlement.order.salt = 1e9;
        else if (kind == 3) settlement.usedSeconds = type(uint32).max;
        else settlement.order.acceptor = bomber;
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    function oneGpu(uint256 salt) private view returns (Order memory order) {
        order = anOrder(salt);
        order.gpus = 1;
    }

    function assertOthersOpen(function(Fill memory) view returns (Fill memory) poison) private {
        for (uint256 place = 0; place < SIZE; ++place) {
            uint256 state = vm.snapshotState();
            Fill[] memory fills = new Fill[](SIZE);
            Order[] memory orders = new Order[](SIZE);
            for (uint256 i = 0; i < SIZE; ++i) {
                orders[i] = oneGpu(i);
                fills[i] = aFill(orders[i]);
            }
            fills[place] = poison(aFill(oneGpu(place)));
            vm.prank(opener);
            market.open(fills, ROUND);
            assertAllBut(orders, place, Status.Open, Status.None);
            vm.assertEq(market.offerOf(offer).free, 1, "seven GPUs are taken");
            vm.assertEq(market.balanceOf(opener), (SIZE - 1) * uint256(TIP), "seven tips are earned");
            vm.revertToState(state);
        }
    }

    function leases() private returns (Order[] memory orders) {
        orders = new Order[](SIZE);
        for (uint256 i = 0; i < SIZE; ++i) {
            orders[i] = serve(aFreeOrder(i));
        }
    }

    function leasesAgain(Order[] memory orders) private view returns (Order[] memory copies) {
        copies = new Order[](orders.length);
        for (uint256 i = 0; i < orders.length; ++i) {
            copies[i] = aFreeOrder(i);
        }
    }

    function assertAllBut(Order[] memory orders, uint256 place, Status all, Status one) private view {
        for (uint256 i = 0; i < orders.length; ++i) {
            assertStatus(orders[i], i == place ? one : all, "all but the poisoned one");
        }
    }

    function fingerprint(Fill[] memory fills) private view returns (bytes32 hash) {
        hash = keccak256(abi.encode(book(), market.balanceOf(stranger)));
        for (uint256 i = 0; i < fills.length; ++i) {
            hash = keccak256(abi.encode(hash, leaseOf(fills[i].order)));
        }
    }
}
