// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket} from "../../../contracts/interfaces/IComputeMarket.sol";
import {
    BombToken,
    DecimalsToken,
    FalseOnFailureToken,
    FalseOnSuccessToken,
    HalfSilentToken,
    PermitBombToken,
    PhantomPermitToken,
    SilentToken
} from "../tokens/AnsweringTokens.sol";
import {CallingBackToken} from "../tokens/CallingBackToken.sol";
import {
    BlacklistToken,
    FeeToken,
    FlashMintToken,
    NarrowToken,
    NoZeroToken,
    PausableToken,
    PickyToken,
    SecondEntryPoint,
    TwoEntryPointsToken,
    WholeBalanceToken
} from "../tokens/MovingTokens.sol";
import {PlainToken, TokenLedger} from "../tokens/PlainToken.sol";
import {TokenTest} from "./TokenTest.sol";

/// @notice A3: awkward ERC-20s, each through the whole lifecycle: deposit, list, open, every exit, withdraw.
contract AwkwardTokensAttack is TokenTest {
    /// @notice A3: the token that all others are awkward twins of.
    function testA03PlainToken() external {
        use(address(new PlainToken()), PRICE);
        liveAndWithdraw();
    }

    /// @notice A3: a token that returns nothing, and wants allowances zeroed first, works (USDT).
    function testA03ReturnsNothing() external {
        use(address(new SilentToken()), PRICE);
        liveAndWithdraw();
    }

    /// @notice A3: a token that returns nothing from one of its functions works (BNB).
    function testA03ReturnsNothingSometimes() external {
        use(address(new HalfSilentToken()), PRICE);
        liveAndWithdraw();
    }

    /// @notice A3: a token that returns false when it fails works, and what it fails to move is not credited (ZRX).
    function testA03ReturnsFalseOnFailure() external {
        use(address(new FalseOnFailureToken()), PRICE);
        vm.prank(client);
        vm.expectRevert();
        market.deposit(client, 1);
        vm.assertEq(market.balanceOf(client), 0, "nothing is credited");
        liveAndWithdraw();
    }

    /// @notice A3: a token that returns false when it succeeds takes nobody's money in: every deposit reverts as a whole (Tether Gold).
    function testA03ReturnsFalseOnSuccess() external {
        use(address(new FalseOnSuccessToken()), PRICE);
        dollar.mint(client, 100);
        approve(client, 100);

        vm.prank(client);
        vm.expectRevert();
        market.deposit(client, 100);

        vm.assertEq(dollar.balanceOf(client), 100, "the client keeps it");
        vm.assertEq(market.balanceOf(client), 0, "nothing is credited");
    }

    /// @notice A3, A20: a token that answers with a megabyte works: only a word of it is copied.
    function testA03AnswersWithAMegabyte() external {
        use(address(new BombToken()), PRICE);
        liveAndWithdraw();
    }

    /// @notice A3: a token that refuses to move nothing works: no exit ever moves tokens, and so never nothing (LEND).
    function testA03RefusesToMoveNothing() external {
        use(address(new NoZeroToken()), PRICE);
        liveAndWithdraw();

        vm.prank(client);
        vm.expectRevert(NoZeroToken.Nothing.selector);
        market.withdraw(client, 0);
    }

    /// @notice A3: a token that refuses large approvals and amounts works: the market never approves anybody (UNI).
    function testA03RefusesLargeApprovals() external {
        use(address(new NarrowToken()), PRICE);
        liveAndWithdraw();
    }

    /// @notice A3: a token without decimals works, in whole units.
    function testA03NoDecimals() external {
        use(address(new DecimalsToken(0)), 3);
        liveAndWithdraw();
    }

    /// @notice A3: a token of 2 decimals works (GUSD).
    function testA03TwoDecimals() external {
        use(address(new DecimalsToken(2)), 235);
        liveAndWithdraw();
    }

    /// @notice A3: a token of 18 decimals works.
    function testA03EighteenDecimals() external {
        use(address(new DecimalsToken(18)), 2_345_679_123_456_789_123);
        liveAndWithdraw();
    }

    /// @notice A3: a token of 30 decimals works, up to the highest price that there is.
    function testA03ThirtyDecimals() external {
        use(address(new DecimalsToken(30)), type(uint80).max);
        liveAndWithdraw();
    }

    /// @notice A3: a token that blocks accounts works for those that are not blocked (USDC); A4 tests the others.
    function testA03Blacklist() external {
        BlacklistToken token = new BlacklistToken();
        use(address(token), PRICE);
        token.setBlocked(opener, true);
        token.setBlocked(stranger, true);
        liveAndWithdraw();
    }

    /// @notice A3, A15: every exit works while the token is paused; only deposits and withdrawals wait.
    function testA03Pausable() external {
        PausableToken token = new PausableToken();
        use(address(token), PRICE);
        uint256 amount = 20 * uint256(price);
        fund(client, amount);
        fund(provider, amount);
        token.setPaused(true);

        liveThrough();
        assertLedger(amount, amount);
        vm.prank(client);
        vm.expectRevert(PausableToken.Paused.selector);
        market.withdraw(client, 1);

        token.setPaused(false);
        withdrawAll(client);
        withdrawAll(provider);
        withdrawAll(arbiter);
        vm.assertEq(token.balanceOf(address(market)), 0, "everything is out");
    }

    /// @notice A3: a token whose owner turns a fee on, in the middle of the leases, takes it from who withdraws and from nobody else.
    function testA03ChangesItsBehaviour() external {
        FeeToken token = new FeeToken();
        token.setFeeBps(0);
        use(address(token), PRICE);
        uint256 amount = 20 * uint256(price);
        fund(client, amount);
        fund(provider, amount);
        listAtPrice();
        serveAtPrice(99);

        token.setFeeBps(2_500);
        skip(60);
        terminate(served[0]);

        uint256 balance = withdrawAll(client);
        vm.assertEq(balance, amount - pays(60), "the client was debited what it withdrew");
        vm.assertEq(token.balanceOf(client), balance - balance / 4, "and bore the fee");
        withdrawAll(provider);
        vm.assertEq(token.balanceOf(address(market)), 0, "nobody else did");
    }

    /// @notice A3: a token that refuses to pay itself, nobody or the payer works, and such a withdrawal takes nothing.
    function testA03RefusesSomeRecipients() external {
        PickyToken token = new PickyToken();
        use(address(token), PRICE);
        fund(client, 100);
        address[2] memory bad = [address(0), address(token)];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.prank(client);
            vm.expectRevert(PickyToken.BadRecipient.selector);
            market.withdraw(bad[i], 100);
        }
        vm.assertEq(market.balanceOf(client), 100, "the client still has it");
        withdrawAll(client);

        liveAndWithdraw();
    }

    /// @notice A3: a token that moves the whole balance when asked for the largest number credits what arrived, not what was said (cUSDCv3).
    function testA03MovesTheWholeBalance() external {
        use(address(new WholeBalanceToken()), PRICE);
        dollar.mint(client, 500);
        vm.prank(client);
        market.deposit(client, type(uint256).max);

        vm.assertEq(market.balanceOf(client), 500, "what arrived");
        vm.prank(client);
        vm.expectRevert(
            abi.encodeWithSelector(IComputeMarket.BalanceTooLow.selector, client, type(uint256).max, uint256(500))
        );
        market.withdraw(client, type(uint256).max);
        withdrawAll(client);
        liveAndWithdraw();
    }

    /// @notice A3, A18: money that comes in by a token's second address belongs to nobody, and the market has no way to sweep it by that address.
    function testA03TwoEntryPoints() external {
        TwoEntryPointsToken token = new TwoEntryPointsToken();
        use(address(token), PRICE);
        token.mint(stranger, 77);
        SecondEntryPoint second = SecondEntryPoint(token.second());
        vm.prank(stranger);
        second.transfer(address(market), 77);
        vm.assertEq(market.balanceOf(stranger), 0, "a donation");
        donated = 77;

        uint256 amount = 20 * uint256(price);
        fund(client, amount);
        fund(provider, amount);
        liveThrough();
        assertLedger(amount, amount);
        withdrawAll(client);
        withdrawAll(provider);
        withdrawAll(arbiter);
        vm.assertEq(token.balanceOf(address(market)), 77, "only the donation is left");
    }

    /// @notice A3: money that was minted for one transaction cannot stay: who deposits it has to withdraw it to give it back.
    function testA03FlashMint() external {
        FlashMintToken token = new FlashMintToken();
        use(address(token), PRICE);
        liveAndWithdraw();
        FlashBorrower borrower = new FlashBorrower(token, market);

        vm.expectRevert(FlashMintToken.NotRepaid.selector);
        borrower.borrow(1e30, false);
        borrower.borrow(1e30, true);

        vm.assertEq(market.balanceOf(address(borrower)), 0, "the borrower has nothing");
        vm.assertEq(token.balanceOf(address(market)), 0, "nor has the market");
    }

    /// @notice A3: a token without permit, but with a fallback that takes any call, still needs the owner's allowance (WETH).
    function testA03PhantomPermit() external {
        use(address(new PhantomPermitToken()), PRICE);
        dollar.mint(client, 100);

        vm.prank(stranger);
        vm.expectRevert(TokenLedger.NotEnough.selector);
        market.depositWithPermit(client, 100, type(uint256).max, 27, "", "");

        liveAndWithdraw();
    }

    /// @notice A3: where the fallback takes any permit, what a stranger can do with an allowance is to credit it to its owner.
    function testA03PhantomPermitCreditsTheOwner() external {
        use(address(new PhantomPermitToken()), PRICE);
        dollar.mint(client, 100);
        approve(client, 100);

        vm.prank(stranger);
        market.depositWithPermit(client, 100, type(uint256).max, 27, "", "");

        vm.assertEq(market.balanceOf(client), 100, "the owner has it");
        vm.assertEq(market.balanceOf(stranger), 0, "the stranger has nothing");
    }

    /// @notice A3: where the fallback takes any authorization, nothing arrives, and nothing is credited.
    function testA03PhantomAuthorization() external {
        use(address(new PhantomPermitToken()), PRICE);
        dollar.mint(client, 100);
        approve(client, 100);

        market.depositWithAuthorization(client, 100, 0, type(uint256).max, "", 27, "", "");

        vm.assertEq(market.balanceOf(client), 0, "nothing is credited");
        vm.assertEq(dollar.balanceOf(client), 100, "nothing was moved");
    }

    /// @notice A3, A20: a token whose permit reverts with a megabyte does not keep the owner from depositing.
    function testA03PermitRevertsWithAMegabyte() external {
        use(address(new PermitBombToken()), PRICE);
        dollar.mint(client, 100);
        approve(client, 100);

        vm.prank(client);
        market.depositWithPermit(client, 100, type(uint256).max, 27, "", "");

        vm.assertEq(market.balanceOf(client), 100, "deposited");
        withdrawAll(client);
        liveAndWithdraw();
    }

    /// @notice A3: a token that calls its recipients works (ERC-777); A1 tests what they could do.
    function testA03CallsItsRecipients() external {
        CallingBackToken token = new CallingBackToken();
        use(address(token), PRICE);
        token.callBack(address(market), abi.encodeCall(market.balanceOf, (client)), 0);
        liveAndWithdraw();
        vm.assertTrue(token.called(), "it called");
    }

    /// @notice A3: where the settlement token has no code, nothing can be deposited.
    function testA03NoTokenAtAll() external {
        use(address(0xDEAD), PRICE);

        vm.prank(client);
        vm.expectRevert();
        market.deposit(client, 100);
        vm.prank(client);
        vm.expectRevert();
        market.depositWithPermit(client, 100, 0, 27, "", "");
        vm.prank(client);
        vm.expectRevert();
        market.depositWithAuthorization(client, 100, 0, 0, "", 27, "", "");
    }
}

/// @notice Borrows by a flash mint, deposits, and withdraws again or not.
contract FlashBorrower {
    FlashMintToken private immutable TOKEN;
    IComputeMarket private immutable MARKET;

    constructor(FlashMintToken token, IComputeMarket market) {
        (TOKEN, MARKET) = (token, market);
    }

    function borrow(uint256 amount, bool givesBack) external {
        TOKEN.flashMint(amount, abi.encodeCall(this.spend, (amount, givesBack)));
    }

    function spend(uint256 amount, bool givesBack) external {
        TOKEN.approve(address(MARKET), amount);
        MARKET.deposit(address(this), amount);
        if (givesBack) MARKET.withdraw(address(this), amount);
    }
}
