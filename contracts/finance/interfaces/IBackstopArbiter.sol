// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../interfaces/IComputeMarket.sol";

/// @title Backstop arbiter
/// @notice An arbiter whose silence pays what was guaranteed. A panel rules as it likes, until `STEP` before the market's ruling window ends; from then until
/// the window ends anyone may have it rule for the provider: all that was guaranteed or claimed, provider not at fault.
/// Warning: a client that names it agrees that the panel's silence means "pay". Whoever disputes and finds the panel silent loses its stake.
/// @dev Rules are numbered A-1 to A-3 as in the specification. Nobody owns it, and the panel is fixed for good: a key, a contract.
interface IBackstopArbiter {
    /// @notice The panel stayed silent, and what was guaranteed or claimed was ruled.
    /// @param lease the id of the order that it serves
    /// @param paidSeconds seconds that were ruled, counted from the start of metering
    /// @param by who called
    event Backstopped(bytes32 indexed lease, uint32 paidSeconds, address indexed by);

    /// @notice What the market paid for rulings went to the panel.
    /// @param amount token base units
    event FeesCollected(uint256 amount);

    /// @notice Only the panel rules.
    /// @param caller who called
    /// @param panel who may
    error NotPanel(address caller, address panel);

    /// @notice There must be a panel.
    error ZeroPanel();

    /// @notice The step must leave the panel time to rule, and the others time to call `backstop`.
    /// @param attempted seconds
    /// @param allowed the most, in seconds
    error StepOutOfBounds(uint256 attempted, uint256 allowed);

    /// @notice Rules on a dispute, as in the market. Panel; before changedAt + RULING_WINDOW - STEP (A-1).
    /// @param order the whole order, as it was signed
    /// @param usedSeconds seconds that are to be paid, counted from the start of metering
    /// @param providerAtFault who loses its stake: true the provider, false the disputer
    function rule(Order calldata order, uint32 usedSeconds, bool providerAtFault) external;

    /// @notice Rules m, provider not at fault, where the panel did not rule. Anyone; from changedAt + RULING_WINDOW - STEP until the window ends (A-1).
    /// @dev m as in `lapse` of the market: what was claimed or paid or, if it was disputed before that had passed, what was guaranteed.
    /// @param order the whole order, as it was signed
    function backstop(Order calldata order) external;

    /// @notice Pays its free market balance, all of it fees, to the panel. Anyone (A-2).
    /// @return amount token base units
    function collect() external returns (uint256 amount);

    /// @notice The market on whose disputes it rules.
    /// @return address of the market
    function market() external view returns (address);

    /// @notice Who rules, for good.
    /// @return a key or a contract
    function panel() external view returns (address);

    /// @notice How long before the ruling window ends the panel's time is over, and everybody's begins.
    /// @return seconds
    function STEP() external view returns (uint256);
}
