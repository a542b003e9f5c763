// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Settlement, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice Gas of whole transactions: each call of a test is one, with intrinsic gas, calldata and cold storage. What is measured goes into forge's
/// snapshot under a sentence; tests/solidity/test_forge.py compares it with tests/solidity/gas.json.
/// forge-config: default.isolate = true
contract GasTest is MarketTest {
    string internal constant GROUP = "Gas";
    // EIP-7825: no transaction may use more.
    uint256 internal constant TRANSACTION_CAP = 1 << 24;

    uint40[] internal offers;
    uint256 internal salts;

    /// @notice Batches of 1, 10 and 100 of a hundred clients and providers, all of whom have used the market before.
    function testBatchesOfDistinctParties() external {
        measureSteady(100);
    }

    /// @notice Batches of 1, 10 and 100 of ten clients and providers, all of whom have used the market before.
    function testBatchesOfRepeatedParties() external {
        measureSteady(10);
    }

    /// @notice The first batch of a market: the opener, the class and the providers' incomes write their words for the first time.
    function testFirstBatches() external {
        for (uint256 parties = 10; parties <= 100; parties *= 10) {
            string memory who = string.concat("first use by ", inWords(parties));
            for (uint256 items = 1; items <= 100; items *= 10) {
                market = deployMarket(address(dollar));
                delete offers;
                introduce(parties);
                measure(items, parties, who);
            }
        }
    }

    /// @notice The life of one job alone, in two transactions: opened, and settled with a last receipt.
    function testASingleJob() external {
        introduce(1);
        warmUp(1);
        Order[] memory orders = newOrders(1, 1);
        uint256 gas = openAll(orders);
        skip(1_000);
        gas += settleAll(orders, true);
        note("a job alone: opened and settled, two transactions", gas);
    }

    /// @notice A progress receipt needs one signature and closes nothing.
    function testProgress() external {
        introduce(100);
        warmUp(100);
        Order[] memory orders = newOrders(100, 100);
        openAll(orders);
        skip(1_000);
        note("progress receipt, batch of 100, 100 clients and 100 providers", settleAll(orders, false) / 100);
    }

    /// @notice The largest batches that we call safe stay below the cap of a transaction, with a tenth to spare.
    function testTheLargestSafeBatches() external {
        introduce(100);
        warmUp(100);
        Order[] memory orders = newOrders(250, 100);
        uint256 gas = openAll(orders);
        note("a whole batch of 250 fills", gas);
        vm.assertLe(gas, TRANSACTION_CAP * 9 / 10, "250 fills");
        skip(1_000);
        gas = settleAll(orders, true);
        note("a whole batch of 250 receipts", gas);
        vm.assertLe(gas, TRANSACTION_CAP * 9 / 10, "250 receipts");
    }

    /// @notice What the verbs on accounts and offers cost, each a transaction of its own, on accounts that have been used before.
    function testAccountsAndOffers() external {
        dollar.mint(client, DOLLAR);
        vm.prank(client);
        dollar.approve(address(market), DOLLAR);
        vm.prank(client);
        market.deposit(client, DOLLAR);
        note("deposit");
        vm.prank(client);
        market.withdraw(client, DOLLAR);
        note("withdraw");
        vm.prank(client);
        market.authorize(stranger, uint128(DOLLAR), uint40(NOW + 1 days));
        note("authorize, a new delegate");
        list(provider);
        note("list");
        vm.prank(provider);
        market.reprice(offer, PRICE, uint40(NOW + 2 days));
        note("reprice");
    }

    /// @notice What the exits of a single lease cost, each a transaction of its own.
    function testExits() external {
        introduce(1);
        warmUp(1);
        Order[] memory orders = newOrders(8, 1);
        openAll(orders);
        (client, provider) = (orders[0].client, vm.addr(providerKey(0)));

        vm.prank(provider);
        market.decline(orders[0]);
        note("decline");
        vm.prank(client);
        market.cancel(orders[0]);
        note("cancel, an order that was declined");
        vm.prank(provider);
        market.assign(orders[1], stranger);
        note("assign");
        skip(1_000);
        vm.prank(client);
        market.terminate(orders[2]);
        note("terminate");
        claim(orders[3], 900);
        note("claim");
        vm.prank(client);
        market.dispute(orders[4]);
        note("dispute");
        vm.prank(client);
        market.dispute(orders[5]);
        vm.prank(arbiter);
        market.rule(orders[4], 900, true);
        note("rule");
        skip(CHALLENGE_WINDOW);
        finalize(orders[3]);
        note("finalize, alone");
        market.expire(orders[6]);
        note("expire");
        skip(RULING_WINDOW);
        market.lapse(orders[5]);
        note("lapse");
    }

    function measureSteady(uint256 parties) private {
        introduce(parties);
        warmUp(parties);
        for (uint256 items = 1; items <= 100; items *= 10) {
            measure(items, parties, inWords(parties));
        }
    }

    function measure(uint256 items, uint256 parties, string memory who) private {
        Order[] memory orders = newOrders(items, parties);
        string memory batch = string.concat(", batch of ", vm.toString(items), ", ", who);
        note(string.concat("fill", batch), openAll(orders) / items);
        skip(1_000);
        note(string.concat("receipt", batch), settleAll(orders, true) / items);
    }

    function inWords(uint256 parties) private pure returns (string memory) {
        return string.concat(vm.toString(parties), " clients and ", vm.toString(parties), " providers");
    }

    function introduce(uint256 parties) private {
        for (uint256 i = 0; i < parties; ++i) {
            deposit(vm.addr(clientKey(i)), 1_000 * DOLLAR);
            deposit(vm.addr(providerKey(i)), 1_000 * DOLLAR);
            vm.prank(vm.addr(providerKey(i)));
            offers.push(
                market.list(CLASS, 1_000, BOND_BPS, PRICE, 0, uint40(NOW + 30 days), arbiter, keccak256("machine"))
            );
        }
    }

    /// Volume, balances and offers have been written before.
    function warmUp(uint256 parties) private {
        Order[] memory orders = newOrders(parties, parties);
        openAll(orders);
        skip(1_000);
        settleAll(orders, true);
    }

    function newOrders(uint256 items, uint256 parties) private returns (Order[] memory orders) {
        orders = new Order[](items);
        ++salts;
        for (uint256 i = 0; i < items; ++i) {
            orders[i] = anOrder();
            orders[i].client = vm.addr(clientKey(i % parties));
            orders[i].gpus = 1;
            // As random as a salt needs to be: 128 bits.
            orders[i].salt = uint256(keccak256(abi.encode(salts, i))) >> 128;
        }
    }

    function openAll(Order[] memory orders) private returns (uint256 gas) {
        Fill[] memory fills = new Fill[](orders.length);
        for (uint256 i = 0; i < orders.length; ++i) {
            fills[i] = Fill({
                order: orders[i],
                offer: offers[i % offers.length],
                price: PRICE,
                signature: sign(clientKey(i % offers.length), market.orderId(orders[i]))
            });
        }
        vm.prank(opener);
        market.open(fills, ROUND);
        gas = vm.lastCallGas().gasTotalUsed;
        vm.assertEq(uint8(market.statusOf(orders[orders.length - 1])), uint8(Status.Open), "the batch opens");
    }

    function settleAll(Order[] memory orders, bool last) private returns (uint256 gas) {
        Settlement[] memory settlements = new Settlement[](orders.length);
        for (uint256 i = 0; i < orders.length; ++i) {
            settlements[i] = aSettlement(orders[i], 900, last);
            bytes32 digest = market.receiptId(receiptOf(orders[i], 900, last));
            settlements[i].clientSignature = sign(clientKey(i % offers.length), digest);
            if (last) settlements[i].providerSignature = sign(providerKey(i % offers.length), digest);
        }
        vm.prank(opener);
        market.settle(settlements);
        gas = vm.lastCallGas().gasTotalUsed;
        vm.assertEq(leaseOf(orders[orders.length - 1]).paidSeconds, 900, "the batch settles");
    }

    function note(string memory sentence) private {
        note(sentence, vm.lastCallGas().gasTotalUsed);
    }

    function note(string memory sentence, uint256 gas) private {
        vm.snapshotValue(GROUP, sentence, gas);
    }

    function clientKey(uint256 index) private pure returns (uint256) {
        return 0x10000 + index;
    }

    function providerKey(uint256 index) private pure returns (uint256) {
        return 0x20000 + index;
    }
}
