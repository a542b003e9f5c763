// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A19: each verb from every wrong role; and that there is no owner, no pause and no upgrade to steal (P-05).
contract AccessControlAttack is AttackTest {
    address private otherClient = vm.addr(0xC2);
    address private otherProvider = vm.addr(0xB2);
    address private otherArbiter = vm.addr(0xA2);

    function setUp() public override {
        super.setUp();
        address[3] memory others = [otherClient, otherProvider, otherArbiter];
        for (uint256 i = 0; i < others.length; ++i) {
            crowd.push(others[i]);
        }
        for (uint256 i = 0; i < crowd.length; ++i) {
            deposit(crowd[i], 100 * DOLLAR);
        }
        list(otherProvider);
    }

    // --------------------------------------------------------------------------------------------------------------------------------- who may

    /// @notice A19: only the client's side cancels.
    function testA19Cancel() external {
        Order memory order = anOrder(1);
        assertOnly(abi.encodeCall(market.cancel, (order)), client, acceptor, "cancel");
    }

    /// @notice A19: only the client's side terminates.
    function testA19Terminate() external {
        Order memory order = serve(anOrder(1));
        assertOnly(abi.encodeCall(market.terminate, (order)), client, acceptor, "terminate");
    }

    /// @notice A19: only the client's side disputes.
    function testA19Dispute() external {
        Order memory order = serve(anOrder(1));
        skip(START_GRACE);
        assertOnly(abi.encodeCall(market.dispute, (order)), client, acceptor, "dispute");
    }

    /// @notice A19: only the provider claims.
    function testA19Claim() external {
        Order memory order = serve(anOrder(1));
        skip(MIN_SECONDS);
        assertOnly(abi.encodeCall(market.claim, (order, 0, RESULT)), provider, provider, "claim");
    }

    /// @notice A19: only the provider declines.
    function testA19Decline() external {
        Order memory order = serve(anOrder(1));
        assertOnly(abi.encodeCall(market.decline, (order)), provider, provider, "decline");
    }

    /// @notice A19: only the provider reprices.
    function testA19Reprice() external {
        assertOnly(abi.encodeCall(market.reprice, (offer, 1, 1)), provider, provider, "reprice");
    }

    /// @notice A19: only the arbiter rules.
    function testA19Rule() external {
        Order memory order = serve(anOrder(1));
        skip(START_GRACE);
        dispute(order);
        assertOnly(abi.encodeCall(market.rule, (order, 0, true)), arbiter, arbiter, "rule");
    }

    /// @notice A19: only the payee assigns: at first the provider.
    function testA19Assign() external {
        Order memory order = serve(anOrder(1));
        assertOnly(abi.encodeCall(market.assign, (order, stranger)), provider, provider, "assign");
    }

    /// @notice A19: once it is assigned, only the new payee assigns, and not even the provider.
    function testA19AssignAgain() external {
        Order memory order = serve(anOrder(1));
        assign(order, provider, payee);
        assertOnly(abi.encodeCall(market.assign, (order, stranger)), payee, payee, "assign");
    }

    /// @notice A19: only the account withdraws its balance: the same call takes each caller's own.
    function testA19Withdraw() external {
        for (uint256 i = 0; i < crowd.length; ++i) {
            if (crowd[i] == client) continue;
            uint256 state = vm.snapshotState();
            uint256 before = market.balanceOf(client);
            attempt(crowd[i], abi.encodeCall(market.withdraw, (crowd[i], 100 * DOLLAR)));
            vm.assertEq(market.balanceOf(client), before, "the client's is untouched");
            vm.revertToState(state);
        }
    }

    /// @notice A19: only the client opens its order without a signature: not the acceptor, nor a delegate, nor the provider.
    function testA19OpenWithoutSignature() external {
        authorize(client, delegate, type(uint128).max, type(uint40).max);
        Fill[] memory fills = new Fill[](1);
        fills[0] = aFill(aFreeOrder(1));
        fills[0].signature = "";
        bytes memory call = abi.encodeCall(market.open, (fills, ROUND));
        for (uint256 i = 0; i < crowd.length; ++i) {
            if (crowd[i] != client) attempt(crowd[i], call);
            assertStatus(fills[0].order, Status.None, "not opened");
        }
        attempt(client, call);

        assertStatus(fills[0].order, Status.Open, "opened by the client");
    }

    /// @notice A19: the parties of one lease are strangers to another of the same market.
    function testA19PartiesOfAnotherLease() external {
        Order memory order = serve(anOrder(1));
        Order memory other = anOrder(2);
        (other.client, other.acceptor) = (otherClient, otherClient);
        skip(MIN_SECONDS);

        vm.assertFalse(attempt(client, abi.encodeCall(market.cancel, (other))), "the client");
        vm.assertFalse(attempt(otherClient, abi.encodeCall(market.terminate, (order))), "the other client");
        vm.assertFalse(attempt(otherProvider, abi.encodeCall(market.claim, (order, 0, RESULT))), "the other provider");
    }

    // ------------------------------------------------------------------------------------------------------------------------------ nobody may

    /// @notice A19, P-05: the market has no owner's functions: no call that a proxy, an owner or a pauser would take is one.
    function testA19NoAdminFunctions() external {
        string[16] memory names = [
            "owner()",
            "transferOwnership(address)",
            "pause()",
            "unpause()",
            "upgradeTo(address)",
            "upgradeToAndCall(address,bytes)",
            "initialize()",
            "initialize(address)",
            "admin()",
            "implementation()",
            "setFee(uint256)",
            "rescueTokens(address,uint256)",
            "sweep(address)",
            "grantRole(bytes32,address)",
            "renounceOwnership()",
            "multicall(bytes[])"
        ];
        for (uint256 i = 0; i < names.length; ++i) {
            bytes memory call = abi.encodePacked(bytes4(keccak256(bytes(names[i]))), new bytes(96));
            vm.assertFalse(attempt(provider, call), names[i]);
        }
    }

    /// @notice A19, P-05: the market's code can neither run another's, nor be destroyed, nor make contracts.
    function testA19NoCodeButItsOwn() external view {
        bytes memory code = address(market).code;
        uint256 i;
        while (i < code.length) {
            uint8 operation = uint8(code[i]);
            bool forbidden =
                operation == 0xf0 || operation == 0xf5 || operation == 0xf2 || operation == 0xf4 || operation == 0xff;
            vm.assertFalse(forbidden, "create, create2, callcode, delegatecall or selfdestruct");
            i += operation >= 0x60 && operation <= 0x7f ? operation - 0x5e : 1;
        }
    }

    /// @notice A19: nothing happens between deployment and first use that anybody could come before: there is no initializer.
    function testA19NothingToInitialize() external view {
        vm.assertEq(market.token(), address(dollar), "the token is fixed");
        vm.assertEq(market.START_GRACE(), START_GRACE, "and the times");
        vm.assertEq(market.CLAIM_GRACE(), CLAIM_GRACE, "and the times");
        vm.assertEq(market.CHALLENGE_WINDOW(), CHALLENGE_WINDOW, "and the times");
        vm.assertEq(market.RULING_WINDOW(), RULING_WINDOW, "and the times");
        vm.assertEq(market.BOND_FLOOR(), BOND_FLOOR, "and the floor");
    }

    /// @notice A19: no selector without arguments writes anything, whoever calls it: there is no fallback behind the functions.
    function testA19UnknownSelectors(bytes4 selector) external {
        vm.record();
        attempt(client, abi.encodePacked(selector));
        assertNothingWritten();
    }

    function assertOnly(bytes memory call, address one, address another, string memory verb) private {
        for (uint256 i = 0; i < crowd.length; ++i) {
            bool mayCall = crowd[i] == one || crowd[i] == another;
            uint256 state = vm.snapshotState();
            bool done = attempt(crowd[i], call);
            vm.revertToState(state);
            vm.assertTrue(done == mayCall, verb);
        }
    }
}
