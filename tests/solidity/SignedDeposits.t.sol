// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";

import {IComputeMarket} from "../../contracts/interfaces/IComputeMarket.sol";
import {ITestDollar, MarketTest} from "./MarketTest.sol";

/// @notice Takes permits and authorizations, and keeps one percent of every transfer.
contract SignedFeeToken is ERC20Permit, ERC3009 {
    constructor() ERC20("Signed fee", "SFEE") ERC20Permit("Signed fee") {}

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && to != address(0)) super._update(to, address(0xFEE), value / 100);
    }
}

/// @notice Takes neither permits nor authorizations.
contract PlainToken is ERC20("Plain", "PLN") {
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}

/// @notice Deposits that the owner signs and anybody relays: EIP-2612 and EIP-3009 (P-01).
contract SignedDepositsTest is MarketTest {
    bytes32 internal constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes32 internal constant RECEIVE_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 internal constant NONCE = keccak256("nonce");
    uint256 internal constant AMOUNT = 1_234;

    struct Signature {
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    uint256 internal before;

    function setUp() public override {
        super.setUp();
        dollar.mint(client, AMOUNT);
        before = market.balanceOf(client);
    }

    // ------------------------------------------------------------------------------------------------------------------------ depositWithPermit

    /// @notice P-01: the owner deposits with one transaction and no approval before it.
    function testPermitDepositsForTheOwner() external {
        Signature memory signature = signPermit(CLIENT_KEY, AMOUNT, NOW);

        vm.expectEmit(address(market));
        emit IComputeMarket.Deposited(client, client, AMOUNT);
        depositWithPermitAs(client, NOW, signature);

        assertDeposited(AMOUNT);
        vm.assertEq(dollar.allowance(client, address(market)), 0, "nothing more is allowed");
    }

    /// @notice P-01: whoever relays a permit pays for the gas only: the tokens come from the owner, and the owner is credited.
    function testAnybodyRelaysAPermit() external {
        Signature memory signature = signPermit(CLIENT_KEY, AMOUNT, NOW);

        vm.expectEmit(address(market));
        emit IComputeMarket.Deposited(client, client, AMOUNT);
        depositWithPermitAs(stranger, NOW, signature);

        assertDeposited(AMOUNT);
        vm.assertEq(market.balanceOf(stranger), 0, "nothing to who relayed it");
    }

    /// @notice P-01: no signed deposit is for the market itself, which signs nothing and is no account.
    function testASignedDepositForTheMarketReverts() external {
        vm.expectRevert(IComputeMarket.PaidToMarket.selector);
        market.depositWithPermit(address(market), 0, NOW, 27, 0, 0);
        vm.expectRevert(IComputeMarket.PaidToMarket.selector);
        market.depositWithAuthorization(address(market), 0, 0, NOW + 1, 0, 27, 0, 0);
    }

    /// @notice P-01: a permit that somebody used up first does not stop its owner.
    function testAPermitUsedUpByAnotherDoesNotStopItsOwner() external {
        Signature memory signature = signPermit(CLIENT_KEY, AMOUNT, NOW);
        useUp(signature);

        depositWithPermitAs(client, NOW, signature);

        assertDeposited(AMOUNT);
    }

    /// @notice I-10: with a permit that was used up already nobody but the owner goes on, though the allowance is there.
    function testAUsedUpPermitStopsAStranger() external {
        Signature memory signature = signPermit(CLIENT_KEY, AMOUNT, NOW);
        useUp(signature);

        assertNotPermitted(NOW, signature);
    }

    /// @notice I-10: without a permit nobody moves what the owner once allowed the market.
    function testAnAllowanceAloneServesNoStranger() external {
        vm.prank(client);
        dollar.approve(address(market), type(uint256).max);

        assertNotPermitted(NOW, Signature(27, bytes32(uint256(1)), bytes32(uint256(1))));
        assertNotPermitted(NOW, signPermit(STRANGER_KEY, AMOUNT, NOW));
    }

    /// @notice P-01: whatever is wrong with its permit, the owner goes on with the allowance that it gave earlier.
    function testTheOwnerGoesOnWithAnEarlierAllowance() external {
        vm.prank(client);
        dollar.approve(address(market), AMOUNT);

        depositWithPermitAs(client, NOW - 1, Signature(0, 0, 0));

        assertDeposited(AMOUNT);
    }

    /// @notice P-01: an owner without permit and without allowance is told so by the token.
    function testTheOwnerWithoutAllowanceReverts() external {
        vm.prank(client);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(market), 0, AMOUNT)
        );
        market.depositWithPermit(client, AMOUNT, NOW, 27, 0, 0);
    }

    /// @notice P-01: a permit holds for its own amount only.
    function testAPermitForAnotherAmountIsNone() external {
        assertNotPermitted(NOW, signPermit(CLIENT_KEY, AMOUNT - 1, NOW));
        assertNotPermitted(NOW, signPermit(CLIENT_KEY, AMOUNT + 1, NOW));
    }

    /// @notice P-01: a permit holds until its deadline.
    function testAPermitEndsAtItsDeadline() external {
        assertNotPermitted(NOW - 1, signPermit(CLIENT_KEY, AMOUNT, NOW - 1));

        depositWithPermitAs(stranger, NOW, signPermit(CLIENT_KEY, AMOUNT, NOW));
        assertDeposited(AMOUNT);
    }

    /// @notice P-01: a permit of an owner that has too few tokens is refused by the token, and the permit is not used up.
    function testAPermitWithoutFundsReverts() external {
        vm.prank(client);
        dollar.transfer(stranger, 1);
        Signature memory signature = signPermit(CLIENT_KEY, AMOUNT, NOW);

        vm.prank(stranger);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, client, AMOUNT - 1, AMOUNT)
        );
        market.depositWithPermit(client, AMOUNT, NOW, signature.v, signature.r, signature.s);

        vm.assertEq(ERC20Permit(address(dollar)).nonces(client), 0, "still to be used");
    }

    /// @notice P-01: of a token without permits, the owner goes on with its allowance, and nobody else does.
    function testATokenWithoutPermits() external {
        PlainToken token = new PlainToken();
        take(ITestDollar(address(token)));
        token.mint(client, AMOUNT);
        vm.prank(client);
        token.approve(address(market), AMOUNT);

        assertNotPermitted(NOW, Signature(27, 0, 0));
        depositWithPermitAs(client, NOW, Signature(27, 0, 0));
        assertDeposited(AMOUNT);
    }

    /// @notice P-01: with a permit too, what arrived is credited.
    function testPermitCreditsWhatArrived() external {
        take(ITestDollar(address(new SignedFeeToken())));
        dollar.mint(client, AMOUNT);

        depositWithPermitAs(stranger, NOW, signPermit(CLIENT_KEY, AMOUNT, NOW));

        assertDeposited(AMOUNT - AMOUNT / 100);
    }

    /// @notice P-01: nobody deposits for address 0, from which nothing can be withdrawn.
    function testPermitOfNobodyReverts() external {
        vm.expectRevert(IComputeMarket.ZeroAccount.selector);
        market.depositWithPermit(address(0), 0, NOW, 27, 0, 0);
    }

    // ----------------------------------------------------------------------------------------------------------------- depositWithAuthorization

    /// @notice P-01: an authorization deposits for the owner, whoever relays it.
    function testAuthorizationDepositsForTheOwner(address relayer) external {
        Signature memory signature = signReceipt(CLIENT_KEY, address(market), AMOUNT, NOW - 1, NOW + 1);

        vm.expectEmit(address(market));
        emit IComputeMarket.Deposited(client, client, AMOUNT);
        depositWithAuthorizationAs(relayer, NOW - 1, NOW + 1, signature);

        assertDeposited(AMOUNT);
        vm.assertTrue(ERC3009(address(dollar)).authorizationState(client, NONCE), "used up");
    }

    /// @notice P-01: an authorization is deposited once.
    function testAnAuthorizationIsDepositedOnce() external {
        dollar.mint(client, AMOUNT);
        Signature memory signature = signReceipt(CLIENT_KEY, address(market), AMOUNT, NOW - 1, NOW + 1);
        depositWithAuthorizationAs(stranger, NOW - 1, NOW + 1, signature);

        assertUnauthorized(
            AMOUNT,
            NOW - 1,
            NOW + 1,
            signature,
            abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, client, NONCE)
        );
    }

    /// @notice P-01: nobody takes an authorization past the market, where nothing would be credited.
    function testAnAuthorizationIsTheMarketsAlone() external {
        Signature memory signature = signReceipt(CLIENT_KEY, address(market), AMOUNT, NOW - 1, NOW + 1);

        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, address(market)));
        ERC3009(address(dollar))
            .receiveWithAuthorization(
                client, address(market), AMOUNT, NOW - 1, NOW + 1, NONCE, signature.v, signature.r, signature.s
            );

        depositWithAuthorizationAs(stranger, NOW - 1, NOW + 1, signature);
        assertDeposited(AMOUNT);
    }

    /// @notice P-01: an authorization holds strictly between its two times.
    function testAnAuthorizationHoldsBetweenItsTimes() external {
        assertUnauthorized(
            AMOUNT,
            NOW,
            NOW + 1,
            signReceipt(CLIENT_KEY, address(market), AMOUNT, NOW, NOW + 1),
            abi.encodeWithSelector(ERC3009.ERC3009InvalidAuthorizationTime.selector, NOW, NOW + 1)
        );
        assertUnauthorized(
            AMOUNT,
            NOW - 1,
            NOW,
            signReceipt(CLIENT_KEY, address(market), AMOUNT, NOW - 1, NOW),
            abi.encodeWithSelector(ERC3009.ERC3009InvalidAuthorizationTime.selector, NOW - 1, NOW)
        );
    }

    /// @notice I-10: nobody else's signature, receiver or amount will do, and no allowance makes up for it, not even for the owner.
    function testNothingElseAuthorizes() external {
        vm.prank(client);
        dollar.approve(address(market), type(uint256).max);
        bytes memory reason = abi.encodeWithSelector(ERC3009.ERC3009InvalidSignature.selector);
        Signature memory good = signReceipt(CLIENT_KEY, address(market), AMOUNT, NOW - 1, NOW + 1);

        assertUnauthorized(
            AMOUNT, NOW - 1, NOW + 1, signReceipt(STRANGER_KEY, address(market), AMOUNT, NOW - 1, NOW + 1), reason
        );
        assertUnauthorized(
            AMOUNT, NOW - 1, NOW + 1, signReceipt(CLIENT_KEY, stranger, AMOUNT, NOW - 1, NOW + 1), reason
        );
        assertUnauthorized(AMOUNT - 1, NOW - 1, NOW + 1, good, reason);
        assertUnauthorized(AMOUNT, NOW - 1, NOW + 2, good, reason);
        assertUnauthorized(AMOUNT, NOW - 1, NOW + 1, signPermit(CLIENT_KEY, AMOUNT, NOW), reason);
    }

    /// @notice P-01: with an authorization too, what arrived is credited.
    function testAuthorizationCreditsWhatArrived() external {
        take(ITestDollar(address(new SignedFeeToken())));
        dollar.mint(client, AMOUNT);

        depositWithAuthorizationAs(
            stranger, NOW - 1, NOW + 1, signReceipt(CLIENT_KEY, address(market), AMOUNT, NOW - 1, NOW + 1)
        );

        assertDeposited(AMOUNT - AMOUNT / 100);
    }

    /// @notice P-01: of a token without authorizations nothing is deposited with one.
    function testATokenWithoutAuthorizationsReverts() external {
        PlainToken token = new PlainToken();
        take(ITestDollar(address(token)));
        token.mint(client, AMOUNT);
        vm.prank(client);
        token.approve(address(market), AMOUNT);

        vm.prank(client);
        vm.expectRevert();
        market.depositWithAuthorization(client, AMOUNT, NOW - 1, NOW + 1, NONCE, 27, 0, 0);
    }

    /// @notice P-01: nobody deposits for address 0, from which nothing can be withdrawn.
    function testAuthorizationOfNobodyReverts() external {
        vm.expectRevert(IComputeMarket.ZeroAccount.selector);
        market.depositWithAuthorization(address(0), 0, NOW - 1, NOW + 1, NONCE, 27, 0, 0);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    /// @notice Goes on with a market of another token, in which the client has nothing yet.
    function take(ITestDollar token) private {
        dollar = token;
        market = deployMarket(address(token));
        before = 0;
    }

    function signPermit(uint256 key, uint256 amount, uint256 deadline) private view returns (Signature memory) {
        return signed(
            key,
            abi.encode(
                PERMIT_TYPEHASH, client, address(market), amount, ERC20Permit(address(dollar)).nonces(client), deadline
            )
        );
    }

    function signReceipt(uint256 key, address to, uint256 amount, uint256 validAfter, uint256 validBefore)
        private
        view
        returns (Signature memory)
    {
        return signed(key, abi.encode(RECEIVE_TYPEHASH, client, to, amount, validAfter, validBefore, NONCE));
    }

    function signed(uint256 key, bytes memory fields) private view returns (Signature memory signature) {
        bytes32 separator = ERC20Permit(address(dollar)).DOMAIN_SEPARATOR();
        (signature.v, signature.r, signature.s) =
            vm.sign(key, keccak256(abi.encodePacked(hex"1901", separator, keccak256(fields))));
    }

    /// @notice What a bystander does who saw the permit on its way.
    function useUp(Signature memory signature) private {
        vm.prank(stranger);
        ERC20Permit(address(dollar)).permit(client, address(market), AMOUNT, NOW, signature.v, signature.r, signature.s);
    }

    function depositWithPermitAs(address sender, uint256 deadline, Signature memory signature) private {
        vm.prank(sender);
        market.depositWithPermit(client, AMOUNT, deadline, signature.v, signature.r, signature.s);
    }

    function depositWithAuthorizationAs(
        address sender,
        uint256 validAfter,
        uint256 validBefore,
        Signature memory signature
    ) private {
        vm.prank(sender);
        market.depositWithAuthorization(
            client, AMOUNT, validAfter, validBefore, NONCE, signature.v, signature.r, signature.s
        );
    }

    function assertDeposited(uint256 amount) private view {
        vm.assertEq(market.balanceOf(client) - before, amount, "the owner is credited");
        vm.assertEq(dollar.balanceOf(client), 0, "the owner paid");
    }

    function assertNotPermitted(uint256 deadline, Signature memory signature) private {
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotPermitted.selector, stranger, client));
        depositWithPermitAs(stranger, deadline, signature);
    }

    /// @notice Neither a stranger nor the owner deposits with it.
    function assertUnauthorized(
        uint256 amount,
        uint256 validAfter,
        uint256 validBefore,
        Signature memory signature,
        bytes memory reason
    ) private {
        address[2] memory senders = [stranger, client];
        for (uint256 i = 0; i < 2; ++i) {
            vm.prank(senders[i]);
            vm.expectRevert(reason);
            market.depositWithAuthorization(
                client, amount, validAfter, validBefore, NONCE, signature.v, signature.r, signature.s
            );
        }
    }
}
