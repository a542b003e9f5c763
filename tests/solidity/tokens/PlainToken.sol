// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What every token of these tests keeps: balances and allowances. Anyone may mint.
abstract contract TokenLedger {
    mapping(address account => uint256) internal _balances;
    mapping(address owner => mapping(address spender => uint256)) internal _allowances;

    event Transfer(address indexed from, address indexed to, uint256 amount);
    event Approval(address indexed owner, address indexed spender, uint256 amount);

    error NotEnough();

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function balanceOf(address account) public view virtual returns (uint256) {
        return _balances[account];
    }

    function allowance(address owner, address spender) external view returns (uint256) {
        return _allowances[owner][spender];
    }

    function decimals() external view virtual returns (uint8) {
        return 6;
    }

    function _mint(address account, uint256 amount) internal virtual {
        _balances[account] += amount;
        emit Transfer(address(0), account, amount);
    }

    function _move(address from, address to, uint256 amount) internal virtual {
        if (_balances[from] < amount) revert NotEnough();
        _balances[from] -= amount;
        _balances[to] += amount;
        emit Transfer(from, to, amount);
    }

    function _spend(address owner, uint256 amount) internal virtual {
        uint256 allowed = _allowances[owner][msg.sender];
        if (allowed < amount) revert NotEnough();
        if (allowed != type(uint256).max) _allowances[owner][msg.sender] = allowed - amount;
    }

    function _approve(address owner, address spender, uint256 amount) internal virtual {
        _allowances[owner][spender] = amount;
        emit Approval(owner, spender, amount);
    }
}

/// @notice A token as the standard has it; the awkward ones differ from it in one thing each.
contract PlainToken is TokenLedger {
    function approve(address spender, uint256 amount) external virtual returns (bool) {
        _approve(msg.sender, spender, amount);
        return true;
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external virtual returns (bool) {
        _spend(from, amount);
        _move(from, to, amount);
        return true;
    }
}
