// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice A dollar whose issuer blocks people.
contract BlacklistingDollar is ERC20 {
    mapping(address account => bool) public isBlocked;

    constructor() ERC20("Blacklisting dollar", "bUSD") {}

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function block_(address account) external {
        isBlocked[account] = true;
    }

    function _update(address from, address to, uint256 amount) internal override {
        require(!isBlocked[from] && !isBlocked[to], "blocked");
        super._update(from, to, amount);
    }
}

/// @notice What is told of a payment, in the middle of it.
interface IPaid {
    function paid(address from, address to) external;
}

/// @notice A dollar that tells somebody of every transfer while it happens, as ERC-777 does.
contract CallingDollar is ERC20 {
    address public listener;

    constructor() ERC20("Calling dollar", "cUSD") {}

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function tell(address who) external {
        listener = who;
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (listener != address(0)) IPaid(listener).paid(from, to);
    }
}

/// @notice A dollar that keeps a hundredth of every transfer for itself, as soon as it is told to.
contract FeeDollar is ERC20 {
    bool public isTaking;

    constructor() ERC20("Fee dollar", "fUSD") {}

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function mint(address account, uint256 amount) external {
        _mint(account, amount);
    }

    function takeFees() external {
        isTaking = true;
    }

    function _update(address from, address to, uint256 amount) internal override {
        uint256 fee = isTaking && from != address(0) ? amount / 100 : 0;
        super._update(from, to, amount - fee);
        if (fee != 0) super._update(from, address(this), fee);
    }
}
