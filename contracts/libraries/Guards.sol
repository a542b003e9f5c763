// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Status} from "../interfaces/IComputeMarket.sol";
import {LeaseWord} from "./Leases.sol";
import {OfferWord} from "./Offers.sol";
import {Orders} from "./Orders.sol";

/// @title Guards
/// @notice Who may call a verb, in which state, and when: each reverts with the error of the interface that says what was tried and what is allowed.
/// @dev Verbs on batches refuse instead: see Refusals. All intervals are half-open.
library Guards {
    using Orders for Order;

    function requireSomebody(address account) internal pure {
        if (account == address(0)) revert IComputeMarket.ZeroAccount();
    }

    /// @dev What the market itself had would belong to nobody.
    function requireAccount(address account) internal view {
        requireSomebody(account);
        if (account == address(this)) revert IComputeMarket.PaidToMarket();
    }

    function requireClientSide(Order calldata order) internal view {
        if (!order.isClientSide(msg.sender)) {
            revert IComputeMarket.NotClientSide(msg.sender, order.clientOf(), order.acceptorOf());
        }
    }

    function requireProvider(OfferWord offer) internal view {
        if (msg.sender != offer.provider()) revert IComputeMarket.NotProvider(msg.sender, offer.provider());
    }

    function requireArbiter(Order calldata order) internal view {
        if (msg.sender != order.arbiterOf()) revert IComputeMarket.NotArbiter(msg.sender, order.arbiterOf());
    }

    function requireOpen(bytes32 id, LeaseWord lease) internal pure {
        if (!lease.isIn(Status.Open)) revert IComputeMarket.NotOpen(id, lease.status());
    }

    function requireDisputed(bytes32 id, LeaseWord lease) internal pure {
        if (!lease.isIn(Status.Disputed)) revert IComputeMarket.NotDisputed(id, lease.status());
    }

    function requireSeconds(uint256 attempted, uint256 least, uint256 most) internal pure {
        if (attempted < least || attempted > most) revert IComputeMarket.SecondsOutOfBounds(attempted, least, most);
    }

    function requireFrom(uint256 from) internal view {
        if (block.timestamp < from) revert IComputeMarket.TooEarly({attempted: block.timestamp, from: from});
    }

    function requireBefore(uint256 end) internal view {
        if (block.timestamp >= end) revert IComputeMarket.TooLate({attempted: block.timestamp, end: end});
    }
}
