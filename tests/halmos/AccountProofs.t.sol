// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketProof} from "./MarketProof.sol";

/// @notice Free balances: who moves them, and by how much, whoever calls and whatever the amount.
contract AccountProofs is MarketProof {
    /// @notice P-06: a withdrawal happens exactly when the balance covers it, and takes exactly its amount.
    function check_aWithdrawalTakesItsAmountOrNothing(address to, uint256 amount) external {
        vm.assume(to != address(0) && to != address(market));
        uint256 before = market.balanceOf(CLIENT);
        uint256 held = dollar.balanceOf(to);
        bool isDone = callAs(CLIENT, abi.encodeCall(IComputeMarket.withdraw, (to, amount)));

        assert(isDone == (amount <= before));
        assert(market.balanceOf(CLIENT) == (isDone ? before - amount : before));
        assert(dollar.balanceOf(to) == (isDone ? held + amount : held));
    }

    /// @notice I-10: whoever withdraws, nobody else's balance moves.
    function check_aWithdrawalIsNobodyElses(address caller, address other, address to, uint256 amount) external {
        vm.assume(caller != other);
        uint256 before = market.balanceOf(other);
        callAs(caller, abi.encodeCall(IComputeMarket.withdraw, (to, amount)));

        assert(market.balanceOf(other) == before);
    }

    /// @notice P-01, I-10: a deposit credits its amount to the account that it names, if that is neither 0 nor the market, and moves nobody else's.
    function check_aDepositCreditsWhomItNames(address caller, address account, address other, uint128 amount) external {
        vm.assume(caller != address(0) && caller != address(market) && account != other);
        uint256 before = market.balanceOf(account);
        uint256 others = market.balanceOf(other);
        dollar.mint(caller, amount);
        vm.prank(caller);
        dollar.approve(address(market), amount);
        bool isDone = callAs(caller, abi.encodeCall(IComputeMarket.deposit, (account, amount)));

        assert(isDone == (account != address(0) && account != address(market)));
        assert(market.balanceOf(account) == (isDone ? before + amount : before));
        assert(market.balanceOf(other) == others);
    }

    /// @notice I-7: whoever authorizes, only its own delegate's budget changes, and 0 of either clears both.
    function check_authorizingIsNobodyElses(
        address caller,
        address delegate,
        uint128 budget,
        uint40 until,
        address account,
        address another
    ) external {
        vm.assume(account != caller || another != delegate);
        bool isDone = callAs(caller, abi.encodeCall(IComputeMarket.authorize, (delegate, budget, until)));

        (uint128 left, uint40 end) = market.budgetOf(caller, delegate);
        bool isSet = isDone && budget != 0 && until != 0;
        assert(left == (isSet ? budget : 0) && end == (isSet ? until : 0));
        (left, end) = market.budgetOf(account, another);
        assert(left == 0 && end == 0);
    }

    /// @notice I-10: listing, repricing and cancelling move nobody's balance, whoever calls.
    function check_wordsMoveNoMoney(address caller, address other, uint80 price, uint16 gpus, uint16 bps) external {
        uint256 before = market.balanceOf(other);
        callAs(caller, abi.encodeCall(IComputeMarket.list, (7, gpus, bps, price, 0, 0, ARBITER, 0)));
        callAs(caller, abi.encodeCall(IComputeMarket.reprice, (offer, price, 0)));
        callAs(caller, abi.encodeCall(IComputeMarket.cancel, (anOrder())));

        assert(market.balanceOf(other) == before);
    }

    /// @notice I-10: nobody but its client opens an order that nobody signed.
    function check_nobodyOpensUnsigned(address caller, uint80 price) external {
        vm.assume(caller != CLIENT);
        Order memory order = anOrder();
        uint256 before = market.balanceOf(CLIENT);
        openAs(caller, order, price, "");

        assert(isIn(order, Status.None) && market.balanceOf(CLIENT) == before);
    }
}
