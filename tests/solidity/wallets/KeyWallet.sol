// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice An honest EIP-1271 wallet: what its owner's key signed, it signed. It is as strict as the market about what a signature is.
contract KeyWallet {
    bytes4 internal constant MAGIC = 0x1626ba7e;
    uint256 private constant HALF_CURVE_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;

    address public immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) public view virtual returns (bytes4) {
        return signedByOwner(digest, signature) ? MAGIC : bytes4(0xffffffff);
    }

    function signedByOwner(bytes32 digest, bytes calldata signature) internal view returns (bool) {
        if (signature.length != 65 || uint256(bytes32(signature[32:64])) > HALF_CURVE_ORDER) return false;
        address signer = ecrecover(digest, uint8(signature[64]), bytes32(signature[0:32]), bytes32(signature[32:64]));
        return signer != address(0) && signer == owner;
    }
}
