// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../interfaces/IComputeMarket.sol";
import {Loan, Survey, Terms} from "./IAdvanceVault.sol";

/// @title Advance rules
/// @notice Whether and how much a vault lends: V-1 to V-9. It moves nothing, and its vault, which made it, alone acts on what it says.
interface IAdvanceRules {
    /// @notice What a draw makes of a loan. Reverts with the vault's error of the rule that forbids it.
    /// @param order the whole order, as it was signed
    /// @param spv the company that serves it
    /// @param borrower who wants to draw
    /// @param amount token base units to owe more
    /// @param maxRateBps the highest rate that the loan may have then, basis points a year
    /// @return number the loan's; 0: it is the first draw
    /// @return loan as it is after the draw
    /// @return reserve token base units of the draw that are held back
    function appraise(Order calldata order, address spv, address borrower, uint256 amount, uint256 maxRateBps)
        external
        view
        returns (uint256 number, Loan memory loan, uint256 reserve);

    /// @notice How much the company's owner may draw now, and which rule forbids more.
    /// @param order the whole order, as it was signed
    /// @param spv the company that serves it
    /// @return most token base units
    /// @return rule n of V-n
    function limitOf(Order calldata order, address spv) external view returns (uint112 most, uint8 rule);

    /// @notice Whether the vault lends on a client's word.
    /// @param client any address
    /// @return true if it is one of the obligors
    function isObligor(address client) external view returns (bool);

    /// @notice What is surely still to come of the lease that a loan of the vault rests on.
    /// @param number the loan's
    /// @return token base units, rounded down
    function dueOf(uint256 number) external view returns (uint256);

    /// @notice What stands behind a loan of the vault.
    /// @param number the loan's
    /// @return token base units, rounded down
    function coveredOf(uint256 number) external view returns (uint256);

    /// @notice All loans of the vault now (V-10).
    /// @param obligor whose loans are counted apart
    /// @return survey what they come to
    function surveyOf(address obligor) external view returns (Survey memory survey);

    /// @notice What the vault, as a creditor, is owed on a lease, and what it says of itself to the company.
    /// @param lease the id of the order that it serves
    /// @param openedAt which serving of it
    /// @return owed token base units, rounded up
    /// @return reserve token base units that are held back
    /// @return opexBps share of income that goes to the owner first, in basis points
    function debtOn(bytes32 lease, uint40 openedAt)
        external
        view
        returns (uint256 owed, uint256 reserve, uint16 opexBps);

    /// @notice Whether the vault has the functions of an interface (ERC-165).
    /// @param interfaceId its id
    /// @return true if so
    function supportsInterface(bytes4 interfaceId) external view returns (bool);

    /// @notice All that the vault is.
    /// @return as they were at deployment
    function terms() external view returns (Terms memory);
}
