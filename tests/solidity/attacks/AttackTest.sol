// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Lease, Offer, Order, Settlement, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {MarketTest} from "../MarketTest.sol";

/// @notice What the local chain's token takes signatures for.
interface ISignedDollar {
    function DOMAIN_SEPARATOR() external view returns (bytes32);
    function nonces(address owner) external view returns (uint256);
    function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external;
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
}

/// @notice What the attacks share: a crowd whose balances are counted, attempts that may fail, and every order of racing verbs.
/// @dev The classes: A1 reentrancy, A2 tokens that move more or less than asked, A3 other awkward tokens, A4 blacklists, A5 replay, A6 malleable
/// signatures, A7 malicious wallets, A8 permits that somebody else uses, A9 schedulers and delegates that steal, A10 front-running, A11 poisoned batches,
/// A12 rounding, A13 extremes, A14 timestamps, A15 stuck funds, A16 disputes as a weapon, A17 free riders and payees, A18 donations and calls for others,
/// A19 roles, A20 answers that are too long and gas that is too short, A21 GPUs sold twice, A22 races within a block.
abstract contract AttackTest is MarketTest {
    uint256 internal constant DELEGATE_KEY = 0xDE1E;
    address internal delegate = vm.addr(DELEGATE_KEY);
    address internal payee = vm.addr(0x9A7EE);

    // Who may have a balance, which orders may have locks, and what was sent to the market without a deposit.
    address[] internal crowd;
    Order[] internal served;
    uint256 internal donated;

    function setUp() public virtual override {
        super.setUp();
        address[8] memory all = [client, provider, opener, acceptor, arbiter, stranger, delegate, payee];
        for (uint256 i = 0; i < all.length; ++i) {
            crowd.push(all[i]);
        }
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- making

    /// @notice An order like any other, told from others by `salt`.
    function anOrder(uint256 salt) internal view returns (Order memory order) {
        order = anOrder();
        order.salt = salt;
    }

    /// @notice An order of one GPU without tip, that anybody may open for a long time.
    function aFreeOrder(uint256 salt) internal view returns (Order memory order) {
        order = anOrder(salt);
        order.gpus = 1;
        order.tip = 0;
        order.opener = address(0);
        order.expiresAt = uint40(NOW + 29 days);
    }

    function serve(Order memory order) internal returns (Order memory) {
        openAs(order.client, aFill(order));
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Open), "the order opens");
        served.push(order);
        return order;
    }

    function dispute(Order memory order) internal {
        vm.prank(order.client);
        market.dispute(order);
    }

    function rule(Order memory order, uint32 usedSeconds, bool providerAtFault) internal {
        vm.prank(arbiter);
        market.rule(order, usedSeconds, providerAtFault);
    }

    function terminate(Order memory order) internal {
        vm.prank(order.client);
        market.terminate(order);
    }

    function decline(Order memory order) internal {
        vm.prank(provider);
        market.decline(order);
    }

    function cancel(Order memory order) internal {
        vm.prank(order.client);
        market.cancel(order);
    }

    function assign(Order memory order, address from, address to) internal {
        vm.prank(from);
        market.assign(order, to);
    }

    function withdraw(address account, address to, uint256 amount) internal {
        vm.prank(account);
        market.withdraw(to, amount);
    }

    function withdrawAll(address account) internal returns (uint256 amount) {
        amount = market.balanceOf(account);
        withdraw(account, account, amount);
    }

    function authorize(address account, address who, uint128 budget, uint40 until) internal {
        vm.prank(account);
        market.authorize(who, budget, until);
    }

    /// @notice The client's EIP-2612 permit, without end.
    function permitOf(address spender, uint256 amount) internal view returns (uint8 v, bytes32 r, bytes32 s) {
        ISignedDollar token = ISignedDollar(address(dollar));
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash =
            keccak256(abi.encode(typeHash, client, spender, amount, token.nonces(client), type(uint256).max));
        return vm.sign(CLIENT_KEY, keccak256(abi.encodePacked(hex"1901", token.DOMAIN_SEPARATOR(), structHash)));
    }

    /// @notice The client's EIP-3009 authorization for `to` to receive.
    function authorizationOf(address to, uint256 amount, bytes32 nonce)
        internal
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 typeHash = keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
        bytes32 structHash = keccak256(abi.encode(typeHash, client, to, amount, 0, type(uint256).max, nonce));
        bytes32 domain = ISignedDollar(address(dollar)).DOMAIN_SEPARATOR();
        return vm.sign(CLIENT_KEY, keccak256(abi.encodePacked(hex"1901", domain, structHash)));
    }

    /// @notice Calls the market as `who`, and says whether it took the call.
    function attempt(address who, bytes memory call) internal returns (bool done) {
        vm.prank(who);
        (done,) = address(market).call(call);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- reading

    function statusOf(Order memory order) internal view returns (Status) {
        return market.statusOf(order);
    }

    function assertStatus(Order memory order, Status status, string memory reason) internal view {
        vm.assertEq(uint8(market.statusOf(order)), uint8(status), reason);
    }

    /// @notice What is locked in the order's lease, if it is live.
    function lockedIn(Order memory order) internal view returns (uint256) {
        Lease memory lease = leaseOf(order);
        if (lease.status == Status.None || lease.status == Status.Closed) return 0;
        uint256 rate = uint256(lease.price) * order.gpus;
        uint256 all = (rate * order.maxSeconds + 3599) / 3600;
        uint256 stake = all * market.offerOf(lease.offer).bondBps / 10_000;
        if (stake < market.BOND_FLOOR()) stake = market.BOND_FLOOR();
        return all - rate * lease.paidSeconds / 3600 + (lease.status == Status.Disputed ? 2 * stake : stake);
    }

    // --------------------------------------------------------------------------------------------------------------------------------- asserting

    /// @notice I-1, exactly: the market holds what the crowd's balances and the served orders' locks say, and nothing else but donations.
    function assertExact() internal view {
        uint256 owed = donated;
        for (uint256 i = 0; i < crowd.length; ++i) {
            owed += market.balanceOf(crowd[i]);
        }
        for (uint256 i = 0; i < served.length; ++i) {
            owed += lockedIn(served[i]);
        }
        vm.assertEq(dollar.balanceOf(address(market)), owed, "the market holds what it owes (I-1)");
    }

    /// @notice I-3: as many GPUs are free as no open lease of the served orders takes.
    function assertCapacity() internal view {
        uint256 taken;
        for (uint256 i = 0; i < served.length; ++i) {
            if (leaseOf(served[i]).status == Status.Open) taken += served[i].gpus;
        }
        vm.assertEq(market.offerOf(offer).free, GPUS - taken, "free GPUs (I-3)");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ racing

    /// @notice The `index`-th of the size! orders of `size` things.
    function permutation(uint256 index, uint256 size) internal pure returns (uint256[] memory order) {
        uint256[] memory left = new uint256[](size);
        for (uint256 i = 0; i < size; ++i) {
            left[i] = i;
        }
        order = new uint256[](size);
        for (uint256 i = 0; i < size; ++i) {
            uint256 remaining = size - i;
            uint256 place = index % remaining;
            index /= remaining;
            order[i] = left[place];
            left[place] = left[remaining - 1];
        }
    }

    function factorial(uint256 size) internal pure returns (uint256 product) {
        product = 1;
        for (uint256 i = 2; i <= size; ++i) {
            product *= i;
        }
    }
}
