// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {SilentToken} from "tests/solidity/tokens/AnsweringTokens.sol";

/// @notice Like USDT: answers nothing, wants an allowance to be 0 before it is changed, blocks accounts, and has a symbol.
contract Tether is SilentToken {
    string public symbol = "USDT";
    mapping(address account => bool) public blocked;

    error Blocked(address account);

    function setBlocked(address account, bool value) external {
        blocked[account] = value;
    }

    function _move(address from, address to, uint256 amount) internal override {
        if (blocked[from]) revert Blocked(from);
        if (blocked[to]) revert Blocked(to);
        super._move(from, to, amount);
    }
}
