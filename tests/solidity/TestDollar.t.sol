// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {MarketTest} from "./MarketTest.sol";

/// @notice The token of local chains.
contract TestDollarTest is MarketTest {
    /// @notice It counts like a dollar token, and anybody may mint it.
    function testAnybodyMintsSixDecimals() external {
        vm.prank(stranger);
        dollar.mint(stranger, 5 * DOLLAR);

        vm.assertEq(ERC20(address(dollar)).decimals(), 6, "decimals");
        vm.assertEq(dollar.balanceOf(stranger), 5 * DOLLAR, "minted");
    }

    /// @notice An allowance may be signed instead of sent (EIP-2612).
    function testPermitSetsTheAllowance() external {
        ERC20Permit token = ERC20Permit(address(dollar));
        bytes32 structHash = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                client,
                stranger,
                7,
                token.nonces(client),
                NOW
            )
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(CLIENT_KEY, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash)));

        token.permit(client, stranger, 7, NOW, v, r, s);

        vm.assertEq(dollar.allowance(client, stranger), 7, "allowed");
    }
}
