// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {PermitBombToken} from "../tokens/AnsweringTokens.sol";
import {BombWallet, RevertingWallet} from "../wallets/AwkwardWallets.sol";
import {TokenTest} from "./TokenTest.sol";

/// @notice A20: what is called may answer at length or spend all that it gets; what that costs others is bounded, and nothing half happens.
contract BombsAttack is TokenTest {
    /// @notice A20: a wallet that answers with a megabyte costs a batch no more than its cap.
    function testA20AnswerOfAMegabyteCostsTheCap() external {
        assertCostsTheCap(address(new BombWallet(1_000_000)));
    }

    /// @notice A20: a wallet that reverts with a megabyte costs a batch no more than its cap.
    function testA20RevertWithAMegabyteCostsTheCap() external {
        assertCostsTheCap(address(new RevertingWallet(1_000_000)));
    }

    /// @notice A20: the longest answer that a wallet can pay for is not copied: the market pays for a word of it.
    function testA20LongestAnswerIsNotCopied() external {
        // The wallet's own memory costs 57,000 gas; a copy would cost the market as much again.
        uint256 short = costOf(address(new BombWallet(32)), 1);
        uint256 long = costOf(address(new BombWallet(150_000)), 2);
        assertStatus(served[0], Status.Open, "the short answer is heard");
        assertStatus(served[1], Status.Open, "and the long one");

        vm.assertLe(long - short, 65_000, "a word of it is copied");
    }

    /// @notice A20: bombs on both of a receipt's client's side cost their two caps, and the provider's is not even asked.
    function testA20BombsInAReceipt() external {
        address bomb = address(new BombWallet(1_000_000));
        deposit(bomb, 100 * DOLLAR);
        offer = list(bomb);
        Order memory order = aFreeOrder(1);
        (order.client, order.acceptor) = (bomb, address(new BombWallet(1_000_000)));
        openAs(bomb, Fill(order, offer, PRICE, ""));
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = aSettlement(order, 60, true);
        uint256 before = gasleft();
        market.settle(settlements);

        vm.assertTrue(before - gasleft() < 2 * 100_000 + 80_000, "the two of the client's side");
        assertStatus(order, Status.Open, "refused");
    }

    /// @notice A20: with whatever gas a withdrawal is called, it pays and debits, or neither.
    function testA20NoGasDebitsWithoutPaying() external {
        bytes memory call = abi.encodeCall(market.withdraw, (payee, 100));
        uint256 taken;
        for (uint256 gas_ = 3_000; gas_ < 90_000; gas_ += 500) {
            uint256 state = vm.snapshotState();
            uint256 balance = market.balanceOf(client);
            vm.prank(client);
            (bool done,) = address(market).call{gas: gas_}(call);
            uint256 paid = done ? 100 : 0;
            vm.assertEq(market.balanceOf(client), balance - paid, "debited");
            vm.assertEq(dollar.balanceOf(payee), paid, "and paid");
            if (done) ++taken;
            vm.revertToState(state);
        }
        vm.assertTrue(taken != 0, "with enough gas it pays");
    }

    /// @notice A20: with whatever gas a deposit is called, it takes and credits, or neither.
    function testA20NoGasCreditsWithoutTaking() external {
        dollar.mint(client, 100);
        vm.prank(client);
        dollar.approve(address(market), 100);
        bytes memory call = abi.encodeCall(market.deposit, (client, 100));
        uint256 taken;
        for (uint256 gas_ = 3_000; gas_ < 110_000; gas_ += 500) {
            uint256 state = vm.snapshotState();
            uint256 balance = market.balanceOf(client);
            vm.prank(client);
            (bool done,) = address(market).call{gas: gas_}(call);
            uint256 moved = done ? 100 : 0;
            vm.assertEq(market.balanceOf(client), balance + moved, "credited");
            vm.assertEq(dollar.balanceOf(client), 100 - moved, "and taken");
            if (done) ++taken;
            vm.revertToState(state);
        }
        vm.assertTrue(taken != 0, "with enough gas it deposits");
    }

    /// @notice A20: a relayer that starves the permit, so that it fails, cannot go on in the owner's place.
    function testA20NoGasMakesARelayerTheOwner() external {
        dollar.mint(client, 100);
        (uint8 v, bytes32 r, bytes32 s) = permitOf(address(market), 100);
        bytes memory call = abi.encodeCall(market.depositWithPermit, (client, 100, type(uint256).max, v, r, s));
        for (uint256 gas_ = 3_000; gas_ < 200_000; gas_ += 1_000) {
            uint256 state = vm.snapshotState();
            uint256 balance = market.balanceOf(client);
            vm.prank(stranger);
            (bool done,) = address(market).call{gas: gas_}(call);
            uint256 moved = done ? 100 : 0;
            vm.assertEq(market.balanceOf(client), balance + moved, "credited to the owner");
            vm.assertEq(dollar.balanceOf(client), 100 - moved, "or not taken");
            vm.revertToState(state);
        }
    }

    /// @notice A20: a permit that reverts with a megabyte costs the depositor what the token spends, and is not copied.
    function testA20PermitBombIsNotCopied() external {
        use(address(new PermitBombToken()), PRICE);
        dollar.mint(client, 100);
        approve(client, 100);
        vm.prank(client);
        uint256 before = gasleft();
        market.depositWithPermit(client, 100, 0, 27, "", "");
        uint256 spent = before - gasleft();

        vm.assertEq(market.balanceOf(client), 100, "deposited");
        // A megabyte of memory costs 2,051,000 gas: the token's own, and no second one.
        vm.assertTrue(spent < 3_000_000, "paid for once");
    }

    /// @notice A20: long signatures, and many of them, cost who posts them, and are refused like short ones.
    function testA20LongSignatures() external {
        Fill memory fill = aFill(anOrder(1));
        fill.signature = new bytes(100_000);
        open(fill);
        assertStatus(fill.order, Status.None, "refused");
        open(aFill(anOrder(1)));

        assertStatus(fill.order, Status.Open, "the proper one opens");
    }

    function assertCostsTheCap(address wallet) private {
        vm.assertLe(costOf(wallet, 1), 100_000 + 60_000, "its cap, and what a refusal costs");
        assertStatus(served[0], Status.None, "refused");
    }

    function costOf(address wallet, uint256 salt) private returns (uint256 spent) {
        deposit(wallet, 100 * DOLLAR);
        Order memory order = anOrder(salt);
        order.client = wallet;
        served.push(order);
        Fill[] memory fills = new Fill[](1);
        fills[0] = Fill(order, offer, PRICE, "");
        vm.prank(opener);
        spent = gasleft();
        market.open(fills, ROUND);
        spent -= gasleft();
    }
}
