// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";

import {IComputeMarket, Lease, Offer, Order, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice What can be read.
contract ViewsTest is MarketTest {
    /// @notice P-05: everything that is fixed at deployment can be read.
    function testImmutables() external view {
        vm.assertEq(market.token(), address(dollar), "token");
        vm.assertEq(market.START_GRACE(), START_GRACE, "START_GRACE");
        vm.assertEq(market.CLAIM_GRACE(), CLAIM_GRACE, "CLAIM_GRACE");
        vm.assertEq(market.CHALLENGE_WINDOW(), CHALLENGE_WINDOW, "CHALLENGE_WINDOW");
        vm.assertEq(market.RULING_WINDOW(), RULING_WINDOW, "RULING_WINDOW");
        vm.assertEq(market.BOND_FLOOR(), BOND_FLOOR, "BOND_FLOOR");
    }

    /// @notice P-25: wallets can ask what they sign under (EIP-5267).
    function testEip712Domain() external view {
        (bytes1 fields, string memory name, string memory version, uint256 chainId, address verifier, bytes32 salt,) =
            IERC5267(address(market)).eip712Domain();

        vm.assertEq(bytes32(fields), bytes32(hex"0f"), "name, version, chain and contract");
        vm.assertEq(name, "ComputeMarket", "name");
        vm.assertEq(version, "1", "version");
        vm.assertEq(chainId, block.chainid, "chain");
        vm.assertEq(verifier, address(market), "contract");
        vm.assertEq(salt, bytes32(0), "no salt");
    }

    /// @notice What the market never saw reads as zero, and never reverts.
    function testUnknownThingsAreZero(bytes32 id, uint40 unknown, address account, uint8 class) external view {
        vm.assume(unknown != offer && account != client && account != provider);
        Lease memory lease;
        Offer memory none;
        vm.assertEq(keccak256(abi.encode(market.leaseOf(id))), keccak256(abi.encode(lease)), "lease");
        vm.assertEq(keccak256(abi.encode(market.offerOf(unknown))), keccak256(abi.encode(none)), "offer");
        vm.assertEq(market.balanceOf(account), 0, "balance");
        vm.assertEq(market.payeeOf(id), address(0), "payee");
        (uint128 paid, uint128 gpuSeconds) = market.volumeOf(class);
        vm.assertTrue(paid == 0 && gpuSeconds == 0, "volume");
        (uint128 left, uint40 until) = market.budgetOf(account, client);
        vm.assertTrue(left == 0 && until == 0, "budget");
    }

    /// @notice payeeOf is the provider, or whom it assigned the lease to, in every live state, and 0 in any other.
    function testPayeeOfALiveLeaseOnly(bool assigned) external {
        Order memory order = anOrder();
        bytes32 id = market.orderId(order);
        vm.assertEq(market.payeeOf(id), address(0), "never opened");
        open(order);
        address payee = assigned ? stranger : provider;
        if (assigned) {
            vm.prank(provider);
            market.assign(order, stranger);
        }
        vm.assertEq(market.payeeOf(id), payee, "open");
        skip(MIN_SECONDS);
        claim(order, 1);
        vm.assertEq(market.payeeOf(id), payee, "claimed");
        vm.prank(client);
        market.dispute(order);
        vm.assertEq(market.payeeOf(id), payee, "disputed");
        skip(RULING_WINDOW);
        market.lapse(order);
        vm.assertEq(market.payeeOf(id), address(0), "closed");
    }

    /// @notice I-11: volumes of classes are kept apart, and add up over leases.
    function testVolumesAddUpByClass() external {
        Order memory order = anOrder();
        open(order);
        vm.prank(provider);
        uint40 other = market.list(CLASS + 1, GPUS, BOND_BPS, PRICE, 0, uint40(NOW + 1 days), arbiter, 0);
        uint40 first = offer;
        offer = other;
        Order memory second = anOrder();
        second.salt = 2;
        second.gpus = 1;
        second.classes = type(uint256).max;
        open(second);
        offer = first;
        skip(1_000);
        pay(order, 100);
        pay(order, 300);
        settle(aSettlement(second, 200, true));

        (uint128 paid, uint128 gpuSeconds) = market.volumeOf(CLASS);
        vm.assertEq(paid, earned(order, 300), "paid");
        vm.assertEq(gpuSeconds, 900, "GPU-seconds");
        (paid, gpuSeconds) = market.volumeOf(CLASS + 1);
        vm.assertEq(paid, earned(second, 200), "paid, other class");
        vm.assertEq(gpuSeconds, 200, "GPU-seconds, other class");
    }

    /// @notice statusOf and leaseOf tell every step of a lease's life.
    function testStatusOf() external {
        Order memory order = anOrder();
        assertStatus(order, Status.None);
        open(order);
        assertStatus(order, Status.Open);
        skip(MIN_SECONDS);
        claim(order, 1);
        assertStatus(order, Status.Claimed);
        vm.prank(client);
        market.dispute(order);
        assertStatus(order, Status.Disputed);
        settle(aSettlement(order, 1, true));
        assertStatus(order, Status.Closed);
    }

    /// @notice P-11: no status changes because time passes: what has ended stays as it is until somebody moves it on.
    function testTimeAloneChangesNothing() external {
        Order memory order = anOrder();
        open(order);
        bytes memory before = abi.encode(leaseOf(order), book(), market.payeeOf(market.orderId(order)));

        skip(365 days);

        vm.assertEq(
            keccak256(abi.encode(leaseOf(order), book(), market.payeeOf(market.orderId(order)))),
            keccak256(before),
            "as it was"
        );
    }

    function assertStatus(Order memory order, Status expected) private view {
        vm.assertEq(uint8(market.statusOf(order)), uint8(expected), "statusOf");
        vm.assertEq(uint8(leaseOf(order).status), uint8(expected), "leaseOf");
    }
}
