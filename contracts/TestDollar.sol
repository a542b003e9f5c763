// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title Test dollar
/// @notice FOR LOCAL CHAINS ONLY. Anyone may mint any amount: it is worth nothing, wherever it is deployed.
/// It takes permits (EIP-2612) and transfer authorizations (EIP-3009), as the dollar tokens of public chains do; both are signed under one EIP-712 domain.
contract TestDollar is ERC20, ERC20Permit, ERC3009 {
    constructor() ERC20("Test dollar, worthless", "tUSD") ERC20Permit("Test dollar, worthless") {}

    /// @notice As many decimals as the dollar tokens of public chains.
    /// @return always 6
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice Makes `amount` out of nothing, for anyone who asks.
    /// @param account who gets it
    /// @param amount base units: millionths of a dollar
    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }
}
