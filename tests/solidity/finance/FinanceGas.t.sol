// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Receipt} from "../../../contracts/interfaces/IComputeMarket.sol";
import {SpvTest} from "./SpvTest.sol";

/// @notice Gas of a company's verbs, each a whole transaction on accounts that were used before, kept like that of the market's (tests/solidity/Gas.t.sol).
/// forge-config: default.isolate = true
contract FinanceGasTest is SpvTest {
    string private constant GROUP = "Gas";

    /// @notice A company is made.
    function testCreated() external {
        vm.prank(owner);
        factory.create(owner, operator, "second");
        note("company: created");
    }

    /// @notice A term lease is opened by a provider that is a key, and by a company's operator.
    function testTermLeases() external {
        Order memory order = aTermLease(1);
        openThrough(order);
        order = aTermLease(2);
        openThrough(order);
        uint256 through = note("company: a term lease opened");
        offer = list(provider);
        openAs(provider, aFill(aTermLease(3)));
        openAs(provider, aFill(aTermLease(4)));
        uint256 plain = note("provider with a key: a term lease opened");

        vm.assertLe(through - plain, 12_000, "what a company adds");
    }

    /// @notice A receipt is settled whose provider is a company, pledged and below the clock's floor, so that its creditor is asked.
    function testReceipts() external {
        Order memory order = serveMonth();
        skip(25 days);
        settle(agreed(order, 25 days));
        note("company: a last receipt settled");
        vm.warp(NOW);
        order.salt = 2;
        open(order);
        pledge(order);
        vault.say(DOLLAR, 0, 3_000);
        skip(25 days);
        settle(agreed(order, 20 days));
        note("company, pledged: a last receipt settled");
    }

    /// @notice Anybody claims for a silent operator.
    function testClaimDue() external {
        Order memory order = pledgedMonth(DOLLAR);
        skip(MONTH);
        spv.claimDue(order);
        note("company, pledged: claimed when due");
    }

    function aTermLease(uint256 salt) private view returns (Order memory order) {
        order = aMonth();
        (order.salt, order.gpus, order.startsAt) = (salt, 1, uint40(NOW + 1 days));
    }

    function openThrough(Order memory order) private {
        Fill[] memory fills = aBatch(order);
        vm.prank(operator);
        spv.open(fills, ROUND);
    }

    function note(string memory sentence) private returns (uint256 gas) {
        gas = vm.lastCallGas().gasTotalUsed;
        vm.snapshotValue(GROUP, sentence, gas);
    }
}

/// @notice What the market pays for asking a company, everything warm.
contract SignatureGasTest is SpvTest {
    /// @notice Asked about a receipt of no pledged lease, about one above the clock's floor, and about one for which the creditor must be asked.
    function testSignatures() external {
        Order memory order = serveMonth();
        skip(25 days);
        note(order, 25 days, "company: asked for a signature");
        pledge(order);
        vault.say(DOLLAR, 0, 3_000);
        vm.assertLe(note(order, 25 days, "company, pledged: asked for a signature"), 16_800, "the prototype's");
        note(order, 20 days, "company, pledged: asked for a signature below the clock");
    }

    function note(Order memory order, uint32 usedSeconds, string memory sentence) private returns (uint256 used) {
        Receipt memory receipt = receiptOf(order, usedSeconds, true);
        bytes32 digest = market.receiptId(receipt);
        bytes memory blob = blobOf(receipt, OPERATOR_KEY);
        spv.isValidSignature(digest, blob);
        uint256 before = gasleft();
        bytes4 answer = spv.isValidSignature(digest, blob);
        used = before - gasleft();
        vm.assertEq(bytes32(answer), bytes32(VALID), "valid");
        vm.snapshotValue("Gas", sentence, used);
    }
}
