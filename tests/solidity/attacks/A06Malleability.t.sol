// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Refusal, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A6: no second form of a signature is a signature, for whichever of the four readers: the client's and a delegate's of an order, and both
/// sides' of a receipt. What a signature moved is keyed on the order, so that a second form could move nothing twice either.
contract MalleabilityAttack is AttackTest {
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    /// @notice A6: the twin with a high s, which the curve takes as well, signs nothing.
    function testA06HighS() external {
        assertSignsNothing(highS);
    }

    /// @notice A6: the compact form of 64 bytes (EIP-2098) signs nothing.
    function testA06CompactForm() external {
        assertSignsNothing(compact);
    }

    /// @notice A6: trailing bytes sign nothing.
    function testA06TrailingBytes() external {
        assertSignsNothing(trailing);
    }

    /// @notice A6: a signature of no length signs nothing.
    function testA06Empty() external {
        assertSignsNothing(empty);
    }

    /// @notice A6: a v of 0 or 1, which older libraries take, signs nothing.
    function testA06VOfZeroOrOne() external {
        assertSignsNothing(lowV);
    }

    /// @notice A6: an r of 0 signs nothing.
    function testA06ZeroR() external {
        assertSignsNothing(zeroR);
    }

    /// @notice A6: an s of 0 signs nothing.
    function testA06ZeroS() external {
        assertSignsNothing(zeroS);
    }

    /// @notice A6: an s of the curve's order plus the right one, which is the same modulo it where it fits, signs nothing.
    function testA06SBeyondTheCurve() external {
        assertSignsNothing(hugeS);
    }

    /// @notice A6: a signature that was wrapped as ABI bytes signs nothing.
    function testA06AbiEncoded() external {
        assertSignsNothing(encoded);
    }

    /// @notice A6: 65 zero bytes recover to nobody, who is no party even where an acceptor is absent.
    function testA06ZerosSignNothing() external {
        assertSignsNothing(zeros);
    }

    /// @notice A6: after the proper form opened a lease, no other form opens it again.
    function testA06OtherFormsAfterTheProperOne() external {
        Fill memory fill = aFill(anOrder());
        open(fill);
        fill.signature = highS(fill.signature);

        assertRefused(fill, Refusal.OrderLive);
    }

    /// @notice A6: what is refused in one form is accepted in the proper one: no form spends the other.
    function testA06TheProperFormAfterOthers() external {
        Fill memory fill = aFill(anOrder());
        bytes memory proper = fill.signature;
        fill.signature = highS(proper);
        assertRefused(fill, Refusal.BadSignature);
        fill.signature = proper;
        open(fill);

        assertStatus(fill.order, Status.Open, "open");
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- readers

    function assertSignsNothing(function(bytes memory) pure returns (bytes memory) change) private {
        Fill memory fill = aFill(anOrder(1));
        fill.signature = change(fill.signature);
        assertRefused(fill, Refusal.BadSignature);

        authorize(client, delegate, type(uint128).max, type(uint40).max);
        fill.signature = change(sign(DELEGATE_KEY, market.orderId(fill.order)));
        assertRefused(fill, Refusal.BadSignature);

        Order memory order = anOrder(2);
        order.acceptor = address(0);
        serve(order);
        skip(60);
        Settlement memory settlement = aSettlement(order, 60, true);
        bytes memory proper = settlement.clientSignature;
        settlement.clientSignature = change(proper);
        assertSettlementRefused(settlement, Refusal.BadClientSignature);

        settlement.clientSignature = proper;
        settlement.providerSignature = change(settlement.providerSignature);
        assertSettlementRefused(settlement, Refusal.BadProviderSignature);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- forms

    function parts(bytes memory signature) private pure returns (bytes32 r, uint256 s, uint8 v) {
        (r, s) = abi.decode(signature, (bytes32, uint256));
        v = uint8(signature[64]);
    }

    function highS(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, uint256 s, uint8 v) = parts(signature);
        return abi.encodePacked(r, CURVE_ORDER - s, v == 27 ? uint8(28) : uint8(27));
    }

    function compact(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, uint256 s, uint8 v) = parts(signature);
        return abi.encodePacked(r, s | uint256(v - 27) << 255);
    }

    function trailing(bytes memory signature) private pure returns (bytes memory) {
        return bytes.concat(signature, hex"00");
    }

    function empty(bytes memory) private pure returns (bytes memory) {
        return "";
    }

    function lowV(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, uint256 s, uint8 v) = parts(signature);
        return abi.encodePacked(r, s, v - 27);
    }

    function zeroR(bytes memory signature) private pure returns (bytes memory) {
        (, uint256 s, uint8 v) = parts(signature);
        return abi.encodePacked(bytes32(0), s, v);
    }

    function zeroS(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r,, uint8 v) = parts(signature);
        return abi.encodePacked(r, bytes32(0), v);
    }

    function hugeS(bytes memory signature) private pure returns (bytes memory) {
        (bytes32 r, uint256 s, uint8 v) = parts(signature);
        unchecked {
            return abi.encodePacked(r, CURVE_ORDER + s, v);
        }
    }

    function encoded(bytes memory signature) private pure returns (bytes memory) {
        return abi.encode(signature);
    }

    function zeros(bytes memory) private pure returns (bytes memory) {
        return new bytes(65);
    }
}
