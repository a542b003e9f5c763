// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Order, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice A market with a ledger of what everybody should have, whichever roles are one address (P-07): `remember`, let something happen, write
/// down with `credit` and `debit` what it should have moved, and `assertLedger`.
abstract contract LedgerTest is MarketTest {
    address internal lender = vm.addr(0x1E4DE2);
    // Fixed before a test gives two roles to one of them.
    address[] private _parties;
    mapping(address account => uint256) private _ledger;
    uint256 private _volumePaid;
    uint256 private _volumeGpuSeconds;

    function setUp() public virtual override {
        super.setUp();
        deposit(acceptor, 1_000 * DOLLAR);
        _parties = [client, provider, acceptor, arbiter, opener, stranger, lender];
    }

    function remember() internal {
        for (uint256 i = 0; i < _parties.length; ++i) {
            _ledger[_parties[i]] = market.balanceOf(_parties[i]);
        }
        (_volumePaid, _volumeGpuSeconds) = market.volumeOf(CLASS);
    }

    function credit(address who, uint256 amount) internal {
        _ledger[who] += amount;
    }

    function debit(address who, uint256 amount) internal {
        _ledger[who] -= amount;
    }

    function assertLedger() internal view {
        for (uint256 i = 0; i < _parties.length; ++i) {
            vm.assertEq(market.balanceOf(_parties[i]), _ledger[_parties[i]], "what each has");
        }
    }

    /// @notice Everybody has what the ledger says, the seconds from p to `s` were paid to the unit (I-11), and nothing is locked any more (I-1, I-2).
    function assertClosed(Order memory order, uint256 p, uint256 s) internal view {
        assertLedger();
        (uint256 paid, uint256 gpuSeconds) = market.volumeOf(CLASS);
        vm.assertEq(paid - _volumePaid, earned(order, s) - earned(order, p), "volume paid");
        vm.assertEq(gpuSeconds - _volumeGpuSeconds, (s - p) * order.gpus, "volume of GPU-seconds");
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "closed");
        vm.assertEq(leaseOf(order).paidSeconds, s, "what was paid for");
        vm.assertEq(market.offerOf(offer).free, GPUS, "all GPUs are free");

        uint256 sum;
        for (uint256 i = 0; i < _parties.length; ++i) {
            sum += market.balanceOf(_parties[i]);
        }
        vm.assertEq(dollar.balanceOf(address(market)), sum, "nothing is locked");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    function disputeAs(address sender, Order memory order) internal {
        vm.prank(sender);
        market.dispute(order);
    }

    function rule(Order memory order, uint32 usedSeconds, bool providerAtFault) internal {
        vm.prank(arbiter);
        market.rule(order, usedSeconds, providerAtFault);
    }

    function lapse(Order memory order) internal {
        vm.prank(stranger);
        market.lapse(order);
    }

    function assignAs(address sender, Order memory order, address payee) internal {
        vm.prank(sender);
        market.assign(order, payee);
    }
}
