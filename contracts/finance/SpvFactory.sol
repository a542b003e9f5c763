// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";

import {ProviderSpv} from "./ProviderSpv.sol";
import {IProviderSpv} from "./interfaces/IProviderSpv.sol";
import {ISpvFactory} from "./interfaces/ISpvFactory.sol";

/// @title SPV factory
/// @dev What every verb promises stands in the interface. Nothing is stored: a company carries its owner and salt in its code, and its address follows from
/// them, so that an address proves itself.
contract SpvFactory is ISpvFactory {
    // The arguments already tell companies apart.
    bytes32 private constant SALT = 0;
    // The clone's own code, the owner, and the salt.
    uint256 private constant CODE_BYTES = 45 + 20 + 32;

    address public immutable market;
    address public immutable implementation;

    /// @param computeMarket where its companies list, sign and claim
    /// @param slack how far behind the clock their floor is, in seconds
    constructor(address computeMarket, uint256 slack) {
        market = computeMarket;
        implementation = address(new ProviderSpv(computeMarket, slack));
    }

    function create(address owner, address operator, bytes32 salt) external returns (address spv) {
        if (owner == address(0)) revert ZeroOwner();
        spv = Clones.cloneDeterministicWithImmutableArgs(implementation, abi.encodePacked(owner, salt), SALT);

        emit SpvCreated(spv, owner);
        IProviderSpv(spv).start(operator, msg.sender);
    }

    function spvOf(address owner, bytes32 salt) external view returns (address) {
        return _addressOf(abi.encodePacked(owner, salt));
    }

    function isSpv(address account) external view returns (bool) {
        return account.code.length == CODE_BYTES && _addressOf(Clones.fetchCloneArgs(account)) == account;
    }

    function _addressOf(bytes memory arguments) private view returns (address) {
        return Clones.predictDeterministicAddressWithImmutableArgs(implementation, arguments, SALT);
    }
}
