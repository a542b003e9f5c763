// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Coverage, Limits, Standing} from "../../contracts/finance/libraries/Coverage.sol";
import {Filling, Queue, Ticket} from "../../contracts/finance/libraries/Queue.sol";

/// @notice The libraries of the vault, each function to be called from outside.
contract Arithmetic {
    mapping(uint256 number => Filling) private _fillings;

    function verdict(Standing calldata standing, Limits calldata limits, uint256 amount)
        external
        pure
        returns (uint8, uint256, uint256)
    {
        return Coverage.ruleOf(standing, limits, amount);
    }

    function rate(Standing calldata standing, Limits calldata limits, uint256 amount) external pure returns (uint256) {
        return Coverage.rateRoundedUp(standing, limits, amount);
    }

    function amounts(uint256 amount, uint256 other, uint256 third, uint256 owed, uint16 bps, uint32 time)
        external
        pure
        returns (uint256[6] memory)
    {
        (uint256 toVault, uint256 toOwner) = Coverage.split(amount, other, third, owed, bps);
        return [
            Coverage.interestRoundedUp(amount, bps, time),
            Coverage.coveredRoundedDown(amount, other, third, bps, owed, amount),
            Coverage.claimRoundedDown(owed, other, bps),
            toVault,
            toOwner,
            Coverage.shareRoundedUp(amount, bps)
        ];
    }

    function fill(uint256 pending, uint256 cash, uint256 assets, uint256 supply, uint256 exitBps)
        external
        pure
        returns (uint256, uint256)
    {
        return Queue.fill(pending, cash, assets, supply, exitBps);
    }

    function walk(Ticket calldata ticket, Filling[] calldata fillings) external returns (Ticket memory) {
        for (uint256 i = 0; i < fillings.length; ++i) {
            _fillings[i] = fillings[i];
        }
        return Queue.walked(ticket, _fillings, fillings.length);
    }
}
