// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Metering
/// @notice The only arithmetic on money. Prices are token base units per GPU-hour, time is whole seconds, shares are basis points.
/// @dev Nothing can overflow: a price of 80 bits times GPUs of 16 bits times seconds of 32 bits is at most 128 bits, and a bond share at most 16 more.
/// The parameters are that narrow so that no caller can break this.
library Metering {
    uint256 internal constant SECONDS_PER_HOUR = 3600;
    uint16 internal constant ALL_BPS = 10_000;

    /// @notice E(s) of P-03: what `usedSeconds` earn. Rounded down: dust stays with the client.
    function earnedRoundedDown(uint80 price, uint16 gpus, uint32 usedSeconds) internal pure returns (uint256) {
        unchecked {
            return uint256(price) * gpus * usedSeconds / SECONDS_PER_HOUR;
        }
    }

    /// @notice T of P-03: what is locked for `maxSeconds`. Rounded up: never less than what they can earn.
    function totalRoundedUp(uint80 price, uint16 gpus, uint32 maxSeconds) internal pure returns (uint256) {
        unchecked {
            return (uint256(price) * gpus * maxSeconds + SECONDS_PER_HOUR - 1) / SECONDS_PER_HOUR;
        }
    }

    /// @notice T and B of P-03 and P-04: what an opening locks of the client's and of the provider's.
    function locks(uint80 price, uint16 gpus, uint32 maxSeconds, uint16 bondBps, uint256 floor)
        internal
        pure
        returns (uint256 total, uint256 bond)
    {
        total = totalRoundedUp(price, gpus, maxSeconds);
        bond = bondRoundedDown(total, bondBps, floor);
    }

    /// @notice B of P-04: the provider's money at stake. Rounded down, but never below the floor.
    function bondRoundedDown(uint256 total, uint16 bondBps, uint256 floor) internal pure returns (uint256) {
        unchecked {
            uint256 share = total * bondBps / ALL_BPS;
            return share > floor ? share : floor;
        }
    }

    /// @notice The GPU-seconds of a payment that moves `paidSeconds` to `usedSeconds`, which is not earlier.
    function gpuSeconds(uint16 gpus, uint32 paidSeconds, uint32 usedSeconds) internal pure returns (uint256) {
        unchecked {
            return uint256(gpus) * (usedSeconds - paidSeconds);
        }
    }

    /// @notice What a client gets, beyond all that it had locked, for a provider that stayed silent: the bond, but no more than T.
    function compensation(uint256 total, uint256 bond) internal pure returns (uint256) {
        return bond < total ? bond : total;
    }

    /// @notice The arbiter's part of the loser's stake: half of it, rounded down.
    function feeRoundedDown(uint256 stake) internal pure returns (uint256) {
        return stake / 2;
    }

    /// @notice h of the exit table: where `paidSeconds` ends if the seconds in dispute are split. Rounded down: the odd second stays with the client.
    function splitRoundedDown(uint32 paidSeconds, uint32 disputedSeconds) internal pure returns (uint32) {
        if (disputedSeconds <= paidSeconds) return paidSeconds;
        return paidSeconds + (disputedSeconds - paidSeconds) / 2;
    }
}
