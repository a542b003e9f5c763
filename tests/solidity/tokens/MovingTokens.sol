// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PlainToken} from "./PlainToken.sol";

// Tokens that move money in their own way, or refuse to.

/// @notice Keeps a share of every transfer, like STA.
contract FeeToken is PlainToken {
    uint256 public feeBps = 100;

    function setFeeBps(uint256 value) external {
        feeBps = value;
    }

    function _move(address from, address to, uint256 amount) internal override {
        uint256 fee = amount * feeBps / 10_000;
        super._move(from, to, amount - fee);
        if (fee != 0) super._move(from, address(this), fee);
    }
}

/// @notice Everybody's balance grows or shrinks at once, like AMPL.
contract RebasingToken is PlainToken {
    uint256 private _scaleBps = 10_000;

    function rebase(uint256 scaleBps) external {
        _scaleBps = scaleBps;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return _balances[account] * _scaleBps / 10_000;
    }

    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount * 10_000 / _scaleBps);
    }
}

/// @notice Refuses to move nothing, like LEND.
contract NoZeroToken is PlainToken {
    error Nothing();

    function _move(address from, address to, uint256 amount) internal override {
        if (amount == 0) revert Nothing();
        super._move(from, to, amount);
    }
}

/// @notice Refuses amounts above 96 bits, like UNI.
contract NarrowToken is PlainToken {
    error TooLarge();

    function _approve(address owner, address spender, uint256 amount) internal override {
        if (amount > type(uint96).max) revert TooLarge();
        super._approve(owner, spender, amount);
    }

    function _move(address from, address to, uint256 amount) internal override {
        if (amount > type(uint96).max) revert TooLarge();
        super._move(from, to, amount);
    }
}

/// @notice Refuses to move money to address 0, to itself, or from an account to itself.
contract PickyToken is PlainToken {
    error BadRecipient();

    function _move(address from, address to, uint256 amount) internal override {
        if (to == address(0) || to == address(this) || to == from) revert BadRecipient();
        super._move(from, to, amount);
    }
}

/// @notice Moves the whole balance when asked for the largest number, like cUSDCv3.
contract WholeBalanceToken is PlainToken {
    function _spend(address, uint256) internal override {}

    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount == type(uint256).max ? _balances[from] : amount);
    }
}

/// @notice Blocks accounts, like USDC.
contract BlacklistToken is PlainToken {
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

/// @notice Stops altogether, like BNB or ZIL.
contract PausableToken is PlainToken {
    bool public paused;

    error Paused();

    function setPaused(bool value) external {
        paused = value;
    }

    function _move(address from, address to, uint256 amount) internal override {
        if (paused) revert Paused();
        super._move(from, to, amount);
    }
}

/// @notice Keeps its balances behind a second address too, like TUSD once: transfers may come from either entry point.
contract TwoEntryPointsToken is PlainToken {
    address public immutable second = address(new SecondEntryPoint(this));

    function transferFor(address from, address to, uint256 amount) external returns (bool) {
        if (msg.sender != second) revert NotEnough();
        _move(from, to, amount);
        return true;
    }
}

/// @notice The other address of the same token.
contract SecondEntryPoint {
    TwoEntryPointsToken private immutable FIRST;

    constructor(TwoEntryPointsToken first) {
        FIRST = first;
    }

    function balanceOf(address account) external view returns (uint256) {
        return FIRST.balanceOf(account);
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        return FIRST.transferFor(msg.sender, to, amount);
    }
}

/// @notice Mints any amount to its caller, if it gets it back in the same transaction, like DAI.
contract FlashMintToken is PlainToken {
    error NotRepaid();

    function flashMint(uint256 amount, bytes calldata call) external {
        _mint(msg.sender, amount);
        (bool done, bytes memory answer) = msg.sender.call(call);
        if (!done) {
            assembly {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        if (_balances[msg.sender] < amount) revert NotRepaid();
        _balances[msg.sender] -= amount;
    }
}
