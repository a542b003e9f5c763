// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {Fill, IComputeMarket, Order, Settlement} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice Keeps one percent of every transfer.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && to != address(0)) super._update(to, address(0xFEE), value / 100);
    }
}

/// @notice Returns false instead of reverting.
contract FalseToken {
    mapping(address => uint256) public balanceOf;

    function transferFrom(address, address, uint256) external pure returns (bool) {
        return false;
    }

    function transfer(address, uint256) external pure returns (bool) {
        return false;
    }
}

/// @notice Calls back into the market while it moves.
contract CallingToken is ERC20("Calling", "CALL") {
    address private _target;
    bytes private _payload;
    bool public isRefused;
    bytes4 public refusal;

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function callBack(address target, bytes calldata payload) external {
        _target = target;
        _payload = payload;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target == address(0) || from == address(0)) return;
        (bool succeeded, bytes memory answer) = _target.call(_payload);
        isRefused = !succeeded;
        refusal = bytes4(answer);
    }
}

/// @notice Deposits and withdrawals.
contract AccountsTest is MarketTest {
    /// @notice P-01: a deposit credits the named account and says who paid.
    function testDepositCreditsTheNamedAccount() external {
        dollar.mint(stranger, 7);
        vm.startPrank(stranger);
        dollar.approve(address(market), 7);
        vm.expectEmit(address(market));
        emit IComputeMarket.Deposited(acceptor, stranger, 7);
        market.deposit(acceptor, 7);
        vm.stopPrank();

        vm.assertEq(market.balanceOf(acceptor), 7, "the account is credited");
        vm.assertEq(market.balanceOf(stranger), 0, "the payer is not");
        vm.assertEq(dollar.balanceOf(stranger), 0, "the payer paid");
    }

    /// @notice P-01: of a token that keeps a fee, what arrived is credited, and all accounts together can be paid.
    function testDepositCreditsWhatArrived() external {
        FeeToken token = new FeeToken();
        IComputeMarket other = deployMarket(address(token));
        token.mint(address(this), 1_000);
        token.approve(address(other), 1_000);

        other.deposit(client, 1_000);

        vm.assertEq(other.balanceOf(client), 990, "what arrived");
        vm.assertEq(token.balanceOf(address(other)), 990, "what the market holds");
    }

    /// @notice P-01: a token that says no by returning false credits nothing.
    function testDepositOfATokenThatReturnsFalseReverts() external {
        IComputeMarket other = deployMarket(address(new FalseToken()));

        vm.expectRevert();
        other.deposit(client, 1);
    }

    /// @notice P-01: nobody deposits for address 0, from which nothing can be withdrawn.
    function testDepositForNobodyReverts() external {
        vm.expectRevert(IComputeMarket.ZeroAccount.selector);
        market.deposit(address(0), 1);
    }

    /// @notice P-01: nobody deposits for the market itself, which calls nobody and could never withdraw it.
    function testDepositForTheMarketReverts() external {
        dollar.mint(stranger, 7);
        vm.startPrank(stranger);
        dollar.approve(address(market), 7);
        vm.expectRevert(IComputeMarket.PaidToMarket.selector);
        market.deposit(address(market), 7);
        vm.stopPrank();
    }

    /// @notice P-01: a deposit without allowance or funds reverts.
    function testDepositWithoutFundsReverts() external {
        vm.prank(stranger);
        vm.expectRevert();
        market.deposit(stranger, 1);
    }

    /// @notice P-06: an account takes its money to any address, down to the last unit.
    function testWithdrawPaysTheAccountsOwnMoney() external {
        uint256 all = market.balanceOf(client);

        vm.prank(client);
        vm.expectEmit(address(market));
        emit IComputeMarket.Withdrawn(client, stranger, all);
        market.withdraw(stranger, all);

        vm.assertEq(market.balanceOf(client), 0, "nothing is left");
        vm.assertEq(dollar.balanceOf(stranger), all, "it arrived");
    }

    /// @notice I-10: nobody withdraws more than its free balance, whatever else the market holds.
    function testWithdrawBeyondTheBalanceReverts() external {
        uint256 all = market.balanceOf(client);

        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.BalanceTooLow.selector, client, all + 1, all));
        market.withdraw(client, all + 1);
    }

    /// @notice I-10: what is locked in a lease cannot be withdrawn.
    function testLockedMoneyCannotBeWithdrawn() external {
        uint256 all = market.balanceOf(client);
        open(anOrder());
        uint256 free = all - total(anOrder()) - TIP;

        vm.prank(client);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.BalanceTooLow.selector, client, free + 1, free));
        market.withdraw(client, free + 1);
    }

    /// @notice P-06: nobody pays to the market itself, where the tokens would belong to nobody.
    function testWithdrawToTheMarketReverts() external {
        vm.prank(client);
        vm.expectRevert(IComputeMarket.PaidToMarket.selector);
        market.withdraw(address(market), 1);
    }

    /// @notice P-06: a withdrawal that the token refuses leaves the balance as it was.
    function testWithdrawOfATokenThatReturnsFalseReverts() external {
        IComputeMarket other = deployMarket(address(new FalseToken()));

        vm.expectRevert();
        other.withdraw(client, 0);
    }

    /// @notice P-01: a token that calls back while a deposit arrives enters none of the verbs.
    function testTokenCannotCallBackIntoADeposit() external {
        bytes[] memory calls = everyVerb();
        for (uint256 i = 0; i < calls.length; ++i) {
            CallingToken token = new CallingToken();
            IComputeMarket other = deployMarket(address(token));
            token.mint(address(this), 10);
            token.approve(address(other), 10);
            token.callBack(address(other), calls[i]);

            other.deposit(client, 10);

            vm.assertTrue(token.isRefused(), "the call back is refused");
            vm.assertEq(
                bytes32(token.refusal()),
                bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector),
                "by the guard"
            );
            vm.assertEq(other.balanceOf(client), 10, "credited once");
        }
    }

    /// @notice P-06: a token that calls back while it is paid out enters none of the verbs.
    function testTokenCannotCallBackIntoAWithdrawal() external {
        bytes[] memory calls = everyVerb();
        for (uint256 i = 0; i < calls.length; ++i) {
            CallingToken token = new CallingToken();
            IComputeMarket other = deployMarket(address(token));
            token.mint(address(this), 10);
            token.approve(address(other), 10);
            other.deposit(address(this), 10);
            token.callBack(address(other), calls[i]);

            other.withdraw(client, 4);

            vm.assertEq(
                bytes32(token.refusal()),
                bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector),
                "by the guard"
            );
            vm.assertEq(other.balanceOf(address(this)), 6, "debited once");
        }
    }

    /// @notice I-1: tokens that are sent without a deposit belong to nobody.
    function testDonationCreditsNobody() external {
        uint256 before = market.balanceOf(client);

        dollar.mint(address(market), 5);
        deposit(client, 3);

        vm.assertEq(market.balanceOf(client), before + 3, "only the deposit counts");
    }

    function everyVerb() private view returns (bytes[] memory calls) {
        calls = new bytes[](19);
        calls[0] = abi.encodeCall(IComputeMarket.deposit, (client, 1));
        calls[1] = abi.encodeCall(IComputeMarket.withdraw, (client, 1));
        calls[2] = abi.encodeCall(IComputeMarket.list, (1, 1, 1, 1, 1, 1, arbiter, 0));
        calls[3] = abi.encodeCall(IComputeMarket.reprice, (1, 1, 1));
        calls[4] = abi.encodeCall(IComputeMarket.open, (new Fill[](0), ROUND));
        calls[5] = abi.encodeCall(IComputeMarket.cancel, (anOrder()));
        calls[6] = abi.encodeCall(IComputeMarket.settle, (new Settlement[](0)));
        calls[7] = abi.encodeCall(IComputeMarket.claim, (anOrder(), 1, RESULT));
        calls[8] = abi.encodeCall(IComputeMarket.finalize, (new Order[](0)));
        calls[9] = abi.encodeCall(IComputeMarket.terminate, (anOrder()));
        calls[10] = abi.encodeCall(IComputeMarket.decline, (anOrder()));
        calls[11] = abi.encodeCall(IComputeMarket.expire, (anOrder()));
        calls[12] = abi.encodeCall(IComputeMarket.depositWithPermit, (client, 1, 1, 27, 0, 0));
        calls[13] = abi.encodeCall(IComputeMarket.depositWithAuthorization, (client, 1, 1, 1, 0, 27, 0, 0));
        calls[14] = abi.encodeCall(IComputeMarket.authorize, (client, 1, 1));
        calls[15] = abi.encodeCall(IComputeMarket.dispute, (anOrder()));
        calls[16] = abi.encodeCall(IComputeMarket.rule, (anOrder(), 1, true));
        calls[17] = abi.encodeCall(IComputeMarket.lapse, (anOrder()));
        calls[18] = abi.encodeCall(IComputeMarket.assign, (anOrder(), client));
    }
}
