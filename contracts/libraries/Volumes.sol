// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice What was ever paid for GPUs of one class, in one storage word: GPU-seconds in the upper half, token base units in the lower.
type VolumeWord is uint256;

using Volumes for VolumeWord global;

/// @title Volumes
/// @notice Reads and makes volume words.
library Volumes {
    uint256 private constant GPU_SECONDS = 128;

    function paid(VolumeWord word) internal pure returns (uint128) {
        return uint128(VolumeWord.unwrap(word));
    }

    function gpuSeconds(VolumeWord word) internal pure returns (uint128) {
        return uint128(VolumeWord.unwrap(word) >> GPU_SECONDS);
    }

    /// @notice With one more payment. Both halves wrap, each alone: no sum of what was paid may ever stop a payment.
    function plus(VolumeWord word, uint256 amount, uint256 usage) internal pure returns (VolumeWord) {
        unchecked {
            return VolumeWord.wrap(uint256(uint128(paid(word) + amount)) | (gpuSeconds(word) + usage) << GPU_SECONDS);
        }
    }
}
