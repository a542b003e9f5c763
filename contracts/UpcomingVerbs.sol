// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order} from "./interfaces/IComputeMarket.sol";

/// @title Upcoming verbs
/// @notice The verbs of the protocol that this market does not have yet: they keep their place in its ABI, and say so when called.
abstract contract UpcomingVerbs is IComputeMarket {
    // Virtual, although nobody overrides them: the compiler would have them pure, and the ABI would say so.

    /// @inheritdoc IComputeMarket
    function depositWithPermit(address, uint256, uint256, uint8, bytes32, bytes32) external virtual {
        revert NotYetSupported();
    }

    /// @inheritdoc IComputeMarket
    function depositWithAuthorization(address, uint256, uint256, uint256, bytes32, uint8, bytes32, bytes32)
        external
        virtual
    {
        revert NotYetSupported();
    }

    /// @inheritdoc IComputeMarket
    function authorize(address, uint128, uint40) external virtual {
        revert NotYetSupported();
    }

    /// @inheritdoc IComputeMarket
    function dispute(Order calldata) external virtual {
        revert NotYetSupported();
    }

    /// @inheritdoc IComputeMarket
    function rule(Order calldata, uint32, bool) external virtual {
        revert NotYetSupported();
    }

    /// @inheritdoc IComputeMarket
    function lapse(Order calldata) external virtual {
        revert NotYetSupported();
    }

    /// @inheritdoc IComputeMarket
    function assign(Order calldata, address) external virtual {
        revert NotYetSupported();
    }
}
