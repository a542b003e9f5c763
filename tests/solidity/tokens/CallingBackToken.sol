// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {PlainToken} from "./PlainToken.sol";

/// @notice Calls somebody in the middle of a movement, like ERC-777 and ERC-1363, of a permit, or of a question about a signature: it is a wallet too.
/// Its permit and its authorization ask for no signature.
contract CallingBackToken is PlainToken {
    // Whom it calls, with what, and how many opportunities it lets pass before.
    address private _target;
    bytes private _call;
    uint256 private _skips;
    // What became of it.
    bool public called;
    bool public succeeded;
    bytes public answer;

    function callBack(address target, bytes calldata call, uint256 skips) external {
        (_target, _call, _skips) = (target, call, skips);
        (called, succeeded, answer) = (false, false, "");
    }

    function permit(address owner, address spender, uint256 amount, uint256, uint8, bytes32, bytes32) external {
        callNow();
        _approve(owner, spender, amount);
    }

    function receiveWithAuthorization(
        address from,
        address to,
        uint256 amount,
        uint256,
        uint256,
        bytes32,
        uint8,
        bytes32,
        bytes32
    ) external {
        _move(from, to, amount);
    }

    /// @notice Agrees if it has nobody to call, or if that call fails: it is asked statically, and can keep no other record.
    function isValidSignature(bytes32, bytes calldata) external returns (bytes4) {
        if (_target != address(0)) {
            (bool done,) = _target.call{gas: 50_000}(_call);
            if (done) return 0xffffffff;
        }
        return 0x1626ba7e;
    }

    function _move(address from, address to, uint256 amount) internal override {
        callNow();
        super._move(from, to, amount);
        callNow();
    }

    function callNow() private {
        if (_target == address(0)) return;
        if (_skips > 0) {
            --_skips;
            return;
        }
        (address target, bytes memory call) = (_target, _call);
        _target = address(0);
        called = true;
        (succeeded, answer) = target.call(call);
    }
}
