// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Settlement, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice Gas of whole transactions: each call of the test is one, with intrinsic gas, calldata and cold storage.
/// forge-config: default.isolate = true
contract GasTest is MarketTest {
    event GasPerItem(string what, uint256 gas);

    uint256 internal constant ITEMS = 100;
    uint40[] internal offers;

    /// @notice A batch of 100 with 100 clients and 100 providers costs no more than it did.
    function testBatchOfDistinctParties() external {
        (uint256 fill, uint256 receipt) = measure(100);

        emit GasPerItem("open 1 of 100, 100 clients and 100 providers", fill);
        emit GasPerItem("settle 1 of 100, 100 clients and 100 providers", receipt);
        vm.assertLe(fill, 62_500, "gas of a fill");
        vm.assertLe(receipt, 45_500, "gas of a receipt");
    }

    /// @notice A batch of 100 with 10 clients and 10 providers costs no more than it did.
    function testBatchOfRepeatedParties() external {
        (uint256 fill, uint256 receipt) = measure(10);

        emit GasPerItem("open 1 of 100, 10 clients and 10 providers", fill);
        emit GasPerItem("settle 1 of 100, 10 clients and 10 providers", receipt);
        vm.assertLe(fill, 48_000, "gas of a fill");
        vm.assertLe(receipt, 32_500, "gas of a receipt");
    }

    function measure(uint256 parties) private returns (uint256 fill, uint256 receipt) {
        for (uint256 i = 0; i < parties; ++i) {
            deposit(vm.addr(clientKey(i)), 1_000 * DOLLAR);
            deposit(vm.addr(providerKey(i)), 1_000 * DOLLAR);
            vm.prank(vm.addr(providerKey(i)));
            offers.push(
                market.list(CLASS, 1_000, BOND_BPS, PRICE, 0, uint40(NOW + 30 days), arbiter, keccak256("machine"))
            );
        }
        deposit(opener, DOLLAR);
        // Warm from earlier use: volume, balances and offers have been written before.
        openAndSettle(parties, 1);
        skip(1);
        return openAndSettle(parties, 2);
    }

    function openAndSettle(uint256 parties, uint256 salt) private returns (uint256 fillGas, uint256 receiptGas) {
        Order[] memory orders = new Order[](ITEMS);
        Fill[] memory fills = new Fill[](ITEMS);
        for (uint256 i = 0; i < ITEMS; ++i) {
            Order memory order = anOrder();
            order.client = vm.addr(clientKey(i % parties));
            order.gpus = 1;
            order.salt = salt << 128 | uint256(keccak256(abi.encode(i))) >> 128;
            orders[i] = order;
            fills[i] = Fill({
                order: order,
                offer: offers[i % parties],
                price: PRICE,
                signature: sign(clientKey(i % parties), market.orderId(order))
            });
        }
        vm.prank(opener);
        market.open(fills, ROUND);
        fillGas = vm.lastCallGas().gasTotalUsed / ITEMS;
        vm.assertEq(uint8(market.statusOf(orders[ITEMS - 1])), uint8(Status.Open), "the batch opens");

        skip(1_000);
        Settlement[] memory settlements = new Settlement[](ITEMS);
        for (uint256 i = 0; i < ITEMS; ++i) {
            settlements[i] = aSettlement(orders[i], 900, true);
            bytes32 digest = market.receiptId(receiptOf(orders[i], 900, true));
            settlements[i].clientSignature = sign(clientKey(i % parties), digest);
            settlements[i].providerSignature = sign(providerKey(i % parties), digest);
        }
        vm.prank(opener);
        market.settle(settlements);
        receiptGas = vm.lastCallGas().gasTotalUsed / ITEMS;
        vm.assertEq(uint8(market.statusOf(orders[ITEMS - 1])), uint8(Status.Closed), "the batch settles");
    }

    function clientKey(uint256 index) private pure returns (uint256) {
        return 0x10000 + index;
    }

    function providerKey(uint256 index) private pure returns (uint256) {
        return 0x20000 + index;
    }
}
