// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Answers every call with the same bytes, by returning or reverting.
contract Answer {
    bytes private _answer;
    bool private _reverts;

    constructor(bytes memory answer, bool reverts) {
        _answer = answer;
        _reverts = reverts;
    }

    fallback() external {
        bytes memory answer = _answer;
        bool reverts = _reverts;
        assembly {
            if reverts { revert(add(answer, 0x20), mload(answer)) }
            return(add(answer, 0x20), mload(answer))
        }
    }
}

/// @notice Answers every call with the bytes that it was made with.
contract AnsweringWallet is Answer {
    constructor(bytes memory answer) Answer(answer, false) {}
}

/// @notice Reverts with as many bytes as it was made with.
contract RevertingWallet {
    uint256 private immutable SIZE;

    constructor(uint256 size) {
        SIZE = size;
    }

    fallback() external {
        uint256 size = SIZE;
        assembly {
            revert(0, size)
        }
    }
}

/// @notice Says yes, and appends as many zero bytes as it was made with: a return bomb, as far as its gas goes.
contract BombWallet {
    uint256 private immutable SIZE;

    constructor(uint256 size) {
        SIZE = size;
    }

    fallback() external {
        uint256 size = SIZE;
        assembly {
            mstore(0, shl(224, 0x1626ba7e))
            return(0, size)
        }
    }
}

/// @notice Burns all the gas that it gets.
contract BurningWallet {
    fallback() external {
        assembly {
            invalid()
        }
    }
}

/// @notice Never comes to an end.
contract EndlessWallet {
    fallback() external {
        while (true) {}
    }
}

/// @notice Says what its owner last told it to say.
contract FickleWallet {
    bool public agrees = true;

    function setAgrees(bool value) external {
        agrees = value;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        return agrees ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

/// @notice Agrees only if it gets as much gas as the market promises, less what the call itself costs.
contract HungryWallet {
    uint256 private immutable NEEDED;

    constructor(uint256 needed) {
        NEEDED = needed;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        return gasleft() >= NEEDED ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

/// @notice Spends as much gas as it was made with, and then agrees.
contract SlowWallet {
    uint256 private immutable COST;

    constructor(uint256 cost) {
        COST = cost;
    }

    function isValidSignature(bytes32, bytes calldata) external view returns (bytes4) {
        uint256 start = gasleft();
        while (start - gasleft() < COST) {}
        return 0x1626ba7e;
    }
}

/// @notice Calls back into the market when it is asked about a signature, and agrees only if that call failed.
contract CallingBackWallet {
    address private _target;
    bytes private _call;

    function callBack(address target, bytes calldata call) external {
        (_target, _call) = (target, call);
    }

    function isValidSignature(bytes32, bytes calldata) external returns (bytes4) {
        (bool done,) = _target.call{gas: 60_000}(_call);
        return done ? bytes4(0xffffffff) : bytes4(0x1626ba7e);
    }
}

