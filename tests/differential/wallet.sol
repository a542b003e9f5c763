// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice The EIP-1271 contract that `shapes.Wallet` models: it looks at the first 65 bytes only, and does not mind a high s.
contract Wallet {
    address private immutable _owner;

    constructor(address owner) {
        _owner = owner;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (signature.length < 65) return 0xffffffff;
        address signer =
            ecrecover(digest, uint8(signature[64]), bytes32(signature[0:32]), bytes32(signature[32:64]));
        return signer == _owner ? this.isValidSignature.selector : bytes4(0xffffffff);
    }
}
