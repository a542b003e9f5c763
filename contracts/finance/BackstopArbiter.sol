// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {IComputeMarket, Lease, Order, Status} from "../interfaces/IComputeMarket.sol";
import {IBackstopArbiter} from "./interfaces/IBackstopArbiter.sol";

/// @title Backstop arbiter
/// @dev What every verb promises stands in the interface. It keeps nothing, and has no other verb (A-3): that a case is in dispute, and this its arbiter, is
/// for the market to check.
contract BackstopArbiter is IBackstopArbiter {
    IComputeMarket private immutable _market;
    address public immutable panel;
    uint256 public immutable STEP;
    uint256 private immutable _RULING_WINDOW;

    /// @param computeMarket on whose disputes it rules
    /// @param panelOfRulers who rules; not 0
    /// @param step how long before the ruling window ends everybody's time begins, in seconds: at least one, and less than the window
    constructor(address computeMarket, address panelOfRulers, uint256 step) {
        _market = IComputeMarket(computeMarket);
        _RULING_WINDOW = _market.RULING_WINDOW();
        if (panelOfRulers == address(0)) revert ZeroPanel();
        if (step == 0 || step >= _RULING_WINDOW) revert StepOutOfBounds(step, _RULING_WINDOW - 1);
        panel = panelOfRulers;
        STEP = step;
    }

    function rule(Order calldata order, uint32 usedSeconds, bool providerAtFault) external {
        if (msg.sender != panel) revert NotPanel(msg.sender, panel);
        (,, uint256 end) = _disputeOf(order);
        if (block.timestamp >= end) revert IComputeMarket.TooLate({attempted: block.timestamp, end: end});

        _market.rule(order, usedSeconds, providerAtFault);
    }

    function backstop(Order calldata order) external {
        (bytes32 id, Lease memory lease, uint256 from) = _disputeOf(order);
        if (block.timestamp < from) revert IComputeMarket.TooEarly({attempted: block.timestamp, from: from});

        uint32 most = _mostOwed(lease, order);

        emit Backstopped(id, most, msg.sender);
        _market.rule({order: order, usedSeconds: most, providerAtFault: false});
    }

    function collect() external returns (uint256 amount) {
        amount = _market.balanceOf(address(this));

        emit FeesCollected(amount);
        _market.withdraw(panel, amount);
    }

    function market() external view returns (address) {
        return address(_market);
    }

    /// The dispute, and where the panel's time ends.
    function _disputeOf(Order calldata order) private view returns (bytes32 id, Lease memory lease, uint256 end) {
        id = _market.orderId(order);
        lease = _market.leaseOf(id);
        if (lease.status != Status.Disputed) revert IComputeMarket.NotDisputed(id, lease.status);
        end = lease.changedAt + _RULING_WINDOW - STEP;
    }

    /// m of the exit table. Leases of the market has its twin, for words.
    function _mostOwed(Lease memory lease, Order calldata order) private pure returns (uint32) {
        uint256 most = Math.max(lease.claimedSeconds, lease.paidSeconds);
        uint256 guaranteedUntil = Math.max(lease.openedAt, order.startsAt) + order.minSeconds;
        return uint32(lease.changedAt < guaranteedUntil ? Math.max(most, order.minSeconds) : most);
    }
}
