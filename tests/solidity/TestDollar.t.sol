// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {IERC3009, IERC3009Cancel} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";

import {MarketTest} from "./MarketTest.sol";

/// @notice The token of local chains.
contract TestDollarTest is MarketTest {
    // As USDC has them: keccak256 of the type, spelled out in EIP-3009.
    bytes32 internal constant TRANSFER_TYPEHASH = 0x7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267;
    bytes32 internal constant RECEIVE_TYPEHASH = 0xd099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de8;
    bytes32 internal constant CANCEL_TYPEHASH = 0x158b0a9edf7a828aad02f63cd515c68ef2f50ba807396f6d12842833a1597429;

    bytes32 internal constant NONCE = keccak256("nonce");
    uint256 internal constant AMOUNT = 7;

    struct Signed {
        uint256 validAfter;
        uint256 validBefore;
        uint8 v;
        bytes32 r;
        bytes32 s;
    }

    /// @notice It counts like a dollar token, and anybody may mint it.
    function testAnybodyMintsSixDecimals() external {
        vm.prank(stranger);
        dollar.mint(stranger, 5 * DOLLAR);

        vm.assertEq(ERC20(address(dollar)).decimals(), 6, "decimals");
        vm.assertEq(dollar.balanceOf(stranger), 5 * DOLLAR, "minted");
    }

    /// @notice An allowance may be signed instead of sent (EIP-2612).
    function testPermitSetsTheAllowance() external {
        ERC20Permit permitted = ERC20Permit(address(dollar));
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                client,
                stranger,
                AMOUNT,
                permitted.nonces(client),
                NOW
            )
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CLIENT_KEY, digestOf(structHash));

        permitted.permit(client, stranger, AMOUNT, NOW, v, r, s);

        vm.assertEq(dollar.allowance(client, stranger), AMOUNT, "allowed");
    }

    // -------------------------------------------------------------------------------------------------------------------------- transfers (EIP-3009)

    /// @notice Anybody may carry out a transfer that its sender authorized (EIP-3009).
    function testTransferWithAuthorizationMovesTheAmount() external {
        dollar.mint(client, AMOUNT);
        Signed memory signed = authorizeTransfer(NOW - 1, NOW + 1);

        vm.expectEmit(address(dollar));
        emit IERC3009.AuthorizationUsed(client, NONCE);
        transferAs(stranger, signed);

        vm.assertEq(dollar.balanceOf(client), 0, "what is left of the sender's");
        vm.assertEq(dollar.balanceOf(provider), AMOUNT, "what arrived");
        vm.assertTrue(token().authorizationState(client, NONCE), "used");
    }

    /// @notice The receiver itself may draw what was authorized for it to receive (EIP-3009).
    function testReceiveWithAuthorizationMovesTheAmount() external {
        dollar.mint(client, AMOUNT);
        Signed memory signed = authorizeReceipt(NOW - 1, NOW + 1);

        vm.expectEmit(address(dollar));
        emit IERC3009.AuthorizationUsed(client, NONCE);
        receiveAs(provider, signed);

        vm.assertEq(dollar.balanceOf(provider), AMOUNT, "what arrived");
        vm.assertTrue(token().authorizationState(client, NONCE), "used");
    }

    /// @notice Nobody but the receiver may draw it: that is what keeps it from being front-run (EIP-3009).
    function testReceiveWithAuthorizationIsTheReceiversAlone() external {
        dollar.mint(client, AMOUNT);
        Signed memory signed = authorizeReceipt(NOW - 1, NOW + 1);

        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, provider));
        receiveAs(stranger, signed);
    }

    /// @notice An authorization to transfer is none to receive, and the other way round (EIP-3009).
    function testAuthorizationsOfOneKindDoNotServeTheOther() external {
        dollar.mint(client, AMOUNT);
        Signed memory toTransfer = authorizeTransfer(NOW - 1, NOW + 1);
        Signed memory toReceive = authorizeReceipt(NOW - 1, NOW + 1);

        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        receiveAs(provider, toTransfer);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        transferAs(provider, toReceive);
    }

    /// @notice An authorization serves once (EIP-3009).
    function testAuthorizationServesOnce() external {
        dollar.mint(client, 3 * AMOUNT);
        Signed memory toTransfer = authorizeTransfer(NOW - 1, NOW + 1);
        Signed memory toReceive = authorizeReceipt(NOW - 1, NOW + 1);
        transferAs(stranger, toTransfer);

        bytes memory used = abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, client, NONCE);
        vm.expectRevert(used);
        transferAs(stranger, toTransfer);
        vm.expectRevert(used);
        receiveAs(provider, toReceive);
    }

    /// @notice An authorization holds strictly between its two times (EIP-3009).
    function testAuthorizationHoldsBetweenItsTimes() external {
        dollar.mint(client, 2 * AMOUNT);
        Signed memory early = authorizeTransfer(NOW, NOW + 1);
        Signed memory late = authorizeReceipt(NOW - 1, NOW);

        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009InvalidAuthorizationTime.selector, NOW, NOW + 1));
        transferAs(stranger, early);
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009InvalidAuthorizationTime.selector, NOW - 1, NOW));
        receiveAs(provider, late);
    }

    /// @notice Only the sender's own signature, on exactly these fields, authorizes anything (EIP-3009).
    function testAnotherSignatureAuthorizesNothing() external {
        dollar.mint(client, AMOUNT);
        Signed memory foreign = signedBy(STRANGER_KEY, TRANSFER_TYPEHASH, NOW - 1, NOW + 1);
        Signed memory changed = authorizeTransfer(NOW - 1, NOW + 1);
        changed.validBefore += 1;

        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        transferAs(stranger, foreign);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        transferAs(stranger, changed);
    }

    /// @notice A cancelled authorization serves never (EIP-3009).
    function testCancelledAuthorizationServesNever() external {
        dollar.mint(client, AMOUNT);
        Signed memory signed = authorizeTransfer(NOW - 1, NOW + 1);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(CLIENT_KEY, cancellation());

        vm.expectEmit(address(dollar));
        emit IERC3009Cancel.AuthorizationCanceled(client, NONCE);
        token().cancelAuthorization(client, NONCE, v, r, s);

        vm.assertTrue(token().authorizationState(client, NONCE), "used up");
        bytes memory used = abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, client, NONCE);
        vm.expectRevert(used);
        transferAs(stranger, signed);
        vm.expectRevert(used);
        token().cancelAuthorization(client, NONCE, v, r, s);
    }

    /// @notice Nobody cancels another's authorization (EIP-3009).
    function testStrangerCancelsNothing() external {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(STRANGER_KEY, cancellation());

        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        token().cancelAuthorization(client, NONCE, v, r, s);

        vm.assertFalse(token().authorizationState(client, NONCE), "still to be used");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    function token() internal view returns (ERC3009) {
        return ERC3009(address(dollar));
    }

    function digestOf(bytes32 structHash) internal view returns (bytes32) {
        bytes32 separator = ERC20Permit(address(dollar)).DOMAIN_SEPARATOR();
        return keccak256(abi.encodePacked(hex"1901", separator, structHash));
    }

    function cancellation() internal view returns (bytes32) {
        return digestOf(keccak256(abi.encode(CANCEL_TYPEHASH, client, NONCE)));
    }

    function authorizeTransfer(uint256 validAfter, uint256 validBefore) internal view returns (Signed memory) {
        return signedBy(CLIENT_KEY, TRANSFER_TYPEHASH, validAfter, validBefore);
    }

    function authorizeReceipt(uint256 validAfter, uint256 validBefore) internal view returns (Signed memory) {
        return signedBy(CLIENT_KEY, RECEIVE_TYPEHASH, validAfter, validBefore);
    }

    /// @notice An authorization of AMOUNT from the client to the provider, signed by a key.
    function signedBy(uint256 key, bytes32 typehash, uint256 validAfter, uint256 validBefore)
        internal
        view
        returns (Signed memory signed)
    {
        bytes32 structHash = keccak256(abi.encode(typehash, client, provider, AMOUNT, validAfter, validBefore, NONCE));
        (signed.v, signed.r, signed.s) = vm.sign(key, digestOf(structHash));
        (signed.validAfter, signed.validBefore) = (validAfter, validBefore);
    }

    function transferAs(address sender, Signed memory signed) internal {
        vm.prank(sender);
        token()
            .transferWithAuthorization(
                client, provider, AMOUNT, signed.validAfter, signed.validBefore, NONCE, signed.v, signed.r, signed.s
            );
    }

    function receiveAs(address sender, Signed memory signed) internal {
        vm.prank(sender);
        token()
            .receiveWithAuthorization(
                client, provider, AMOUNT, signed.validAfter, signed.validBefore, NONCE, signed.v, signed.r, signed.s
            );
    }
}
