// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title SPV factory
/// @notice Makes companies of one market, and knows which addresses are its own. Nobody owns it, and it keeps nothing.
interface ISpvFactory {
    /// @notice A company was made.
    /// Warning: anyone may make one for any owner. It is the owner's only from the first `OperatorSet` on that names the owner as its cause.
    /// @param spv its address
    /// @param owner whose it is, for good
    event SpvCreated(address indexed spv, address indexed owner);

    /// @notice Address 0 can own no company: nobody could ever take out what it earns.
    error ZeroOwner();

    /// @notice Makes a company. Anyone, for anyone; its address follows from owner and salt alone, so it can be made once.
    /// Warning: if somebody else made yours first, it has their operator. Look at `operator()` before it is given anything, and set your own.
    /// @param owner whose it is, for good
    /// @param operator the hot key that acts for it; 0: nobody yet
    /// @param salt what the owner chose
    /// @return spv its address
    function create(address owner, address operator, bytes32 salt) external returns (address spv);

    /// @notice Where the company of this owner and salt is, or would be.
    /// @param owner whose it is
    /// @param salt what the owner chose
    /// @return its address
    function spvOf(address owner, bytes32 salt) external view returns (address);

    /// @notice Whether a company of this factory is at an address.
    /// @param account any address
    /// @return true only of addresses that `create` returned
    function isSpv(address account) external view returns (bool);

    /// @notice The market of its companies.
    /// @return address of the market
    function market() external view returns (address);

    /// @notice The code that its companies run.
    /// @return address of a contract that is no company itself
    function implementation() external view returns (address);
}
