// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order} from "../../../contracts/interfaces/IComputeMarket.sol";
import {ICreditor, IProviderSpv} from "../../../contracts/finance/interfaces/IProviderSpv.sol";

/// @notice A creditor that lends nothing and says whatever a test has it say; anyone may have it call a company.
contract StubVault is ICreditor {
    uint256 public owed;
    uint256 public reserve;
    uint16 public opexBps;
    bool public fails;

    function say(uint256 owed_, uint256 reserve_, uint16 opexBps_) external {
        (owed, reserve, opexBps) = (owed_, reserve_, opexBps_);
    }

    function fail() external {
        fails = true;
    }

    function pledge(IProviderSpv spv, bytes32 lease, uint40 openedAt, Order calldata order) external {
        spv.pledge(lease, openedAt, order);
    }

    function pay(IProviderSpv spv, uint256 amount) external {
        spv.pay(amount);
    }

    function release(IProviderSpv spv) external {
        spv.release();
    }

    function debtOn(bytes32, uint40) external view returns (uint256, uint256, uint16) {
        require(!fails, "the creditor does not answer");
        return (owed, reserve, opexBps);
    }
}
