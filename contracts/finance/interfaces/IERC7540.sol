// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Operators of ERC-7540
/// @notice Who may ask for exits and take them for somebody else.
interface IERC7540Operator {
    /// @notice An account lets somebody act for it, or no longer does.
    /// @param controller whose requests they are
    /// @param operator who may
    /// @param approved whether it may
    event OperatorSet(address indexed controller, address indexed operator, bool approved);

    /// @notice Lets somebody act for the caller.
    /// @param operator who may
    /// @param approved whether it may
    /// @return success always true
    function setOperator(address operator, bool approved) external returns (bool success);

    /// @notice Whether somebody may act for an account.
    /// @param controller whose requests they are
    /// @param operator who acts
    /// @return status true if the account said so
    function isOperator(address controller, address operator) external view returns (bool status);
}

/// @title Exits of ERC-7540
/// @notice Shares are not redeemed at once: they are requested, and taken when the vault filled the request. All requests of a controller are one, of id 0.
interface IERC7540Redeem {
    /// @notice Shares wait to leave.
    /// @param controller whose request it is
    /// @param owner whose shares they were
    /// @param requestId always 0
    /// @param sender who asked
    /// @param shares how many
    event RedeemRequest(
        address indexed controller, address indexed owner, uint256 indexed requestId, address sender, uint256 shares
    );

    /// @notice Asks for an exit. The owner, its operator, or who has an allowance over its shares.
    /// @param shares how many
    /// @param controller whose request it is
    /// @param owner whose shares they are
    /// @return requestId always 0
    function requestRedeem(uint256 shares, address controller, address owner) external returns (uint256 requestId);

    /// @notice Shares that wait.
    /// @param requestId 0; of any other nothing waits
    /// @param controller whose request it is
    /// @return shares how many
    function pendingRedeemRequest(uint256 requestId, address controller) external view returns (uint256 shares);

    /// @notice Shares that left and whose assets were not taken.
    /// @param requestId 0; of any other nothing left
    /// @param controller whose request it is
    /// @return shares how many
    function claimableRedeemRequest(uint256 requestId, address controller) external view returns (uint256 shares);
}

/// @title Vault of ERC-7575
/// @notice Which token its shares are.
interface IERC7575 {
    /// @notice The token that the shares are.
    /// @return its address
    function share() external view returns (address);
}
