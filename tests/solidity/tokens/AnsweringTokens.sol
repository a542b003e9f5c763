// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PlainToken, TokenLedger} from "./PlainToken.sol";

// Tokens that answer in their own way.

/// @notice Returns nothing, like USDT; and wants an allowance to be 0 before it is changed.
contract SilentToken is TokenLedger {
    error AllowanceNotZero();

    function approve(address spender, uint256 amount) external {
        if (amount != 0 && _allowances[msg.sender][spender] != 0) revert AllowanceNotZero();
        _approve(msg.sender, spender, amount);
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _spend(from, amount);
        _move(from, to, amount);
    }
}

/// @notice Returns nothing from transfer, but true from transferFrom, like BNB.
contract HalfSilentToken is TokenLedger {
    function approve(address spender, uint256 amount) external returns (bool) {
        _approve(msg.sender, spender, amount);
        return true;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }
}

/// @notice Returns false instead of reverting, like ZRX.
contract FalseOnFailureToken is PlainToken {
    function transfer(address to, uint256 amount) external override returns (bool) {
        if (_balances[msg.sender] < amount) return false;
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        if (_balances[from] < amount || _allowances[from][msg.sender] < amount) return false;
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }
}

/// @notice Moves the money, and returns false, like Tether Gold.
contract FalseOnSuccessToken is PlainToken {
    function transfer(address to, uint256 amount) external override returns (bool) {
        _move(msg.sender, to, amount);
        return false;
    }

    function transferFrom(address from, address to, uint256 amount) external override returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        return false;
    }
}

/// @notice Appends a megabyte to its true.
contract BombToken is TokenLedger {
    function approve(address spender, uint256 amount) external returns (bool) {
        _approve(msg.sender, spender, amount);
        return true;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
        bomb();
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _spend(from, amount);
        _move(from, to, amount);
        bomb();
    }

    function bomb() private pure {
        assembly {
            let free := mload(0x40)
            mstore(free, 1)
            return(free, 1000000)
        }
    }
}

/// @notice Reverts with a megabyte whenever it is asked for a permit, and has no other.
contract PermitBombToken is PlainToken {
    function permit(address, address, uint256, uint256, uint8, bytes32, bytes32) external pure {
        assembly {
            revert(0, 1000000)
        }
    }
}

/// @notice Has no permit, but a fallback that takes any call, like WETH9.
contract PhantomPermitToken is PlainToken {
    fallback() external {}
}

/// @notice Has as many decimals as it was made with.
contract DecimalsToken is PlainToken {
    uint8 private immutable DECIMALS;

    constructor(uint8 decimals_) {
        DECIMALS = decimals_;
    }

    function decimals() external view override returns (uint8) {
        return DECIMALS;
    }
}
