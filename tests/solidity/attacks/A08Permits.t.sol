// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AttackTest, ISignedDollar} from "./AttackTest.sol";

/// @notice A8: signed deposits that somebody else uses first, relays, or bends.
contract PermitsAttack is AttackTest {
    uint256 private constant AMOUNT = 100;
    uint256 private constant ALWAYS = type(uint256).max;
    uint256 private held;

    function setUp() public override {
        super.setUp();
        dollar.mint(client, 10 * AMOUNT);
        held = market.balanceOf(client);
    }

    /// @notice A8: a permit that somebody used up first does not keep the owner from depositing.
    function testA08FrontRunPermitDoesNotBlockTheOwner() external {
        (uint8 v, bytes32 r, bytes32 s) = permitOf(address(market), AMOUNT);
        vm.prank(stranger);
        ISignedDollar(address(dollar)).permit(client, address(market), AMOUNT, ALWAYS, v, r, s);

        vm.prank(client);
        market.depositWithPermit(client, AMOUNT, ALWAYS, v, r, s);

        vm.assertEq(market.balanceOf(client), held + AMOUNT, "deposited");
    }

    /// @notice A8: after it was used up, a stranger cannot go on with the allowance; the owner still can.
    function testA08FrontRunPermitDoesNotServeAStranger() external {
        (uint8 v, bytes32 r, bytes32 s) = permitOf(address(market), AMOUNT);
        ISignedDollar(address(dollar)).permit(client, address(market), AMOUNT, ALWAYS, v, r, s);

        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotPermitted.selector, stranger, client));
        market.depositWithPermit(client, AMOUNT, ALWAYS, v, r, s);
        vm.assertEq(dollar.balanceOf(client), 10 * AMOUNT, "nothing was moved");

        vm.prank(client);
        market.deposit(client, AMOUNT);
        vm.assertEq(market.balanceOf(client), held + AMOUNT, "the owner deposits plainly");
    }

    /// @notice A8: the whole deposit that somebody front-runs is the same deposit: the owner is credited once, and its own call takes nothing more.
    function testA08FrontRunDepositIsTheSameDeposit() external {
        (uint8 v, bytes32 r, bytes32 s) = permitOf(address(market), AMOUNT);
        vm.prank(stranger);
        market.depositWithPermit(client, AMOUNT, ALWAYS, v, r, s);
        vm.prank(client);
        vm.expectRevert();
        market.depositWithPermit(client, AMOUNT, ALWAYS, v, r, s);

        vm.assertEq(market.balanceOf(client), held + AMOUNT, "once");
        vm.assertEq(market.balanceOf(stranger), 0, "for nobody else");
    }

    /// @notice A8: nobody deposits a stranger's standing allowance without its signature.
    function testA08AllowanceIsNotEnoughForAStranger() external {
        vm.prank(client);
        dollar.approve(address(market), ALWAYS);

        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotPermitted.selector, stranger, client));
        market.depositWithPermit(client, AMOUNT, ALWAYS, 27, bytes32(uint256(1)), bytes32(uint256(1)));
        vm.prank(stranger);
        vm.expectRevert();
        market.deposit(stranger, AMOUNT);
        vm.assertEq(dollar.balanceOf(client), 10 * AMOUNT, "nothing was moved");
    }

    /// @notice A8: a relayer can neither deposit more than was permitted, nor less.
    function testA08RelayerCannotChangeTheAmount() external {
        (uint8 v, bytes32 r, bytes32 s) = permitOf(address(market), AMOUNT);
        uint256[3] memory amounts = [AMOUNT - 1, AMOUNT + 1, 10 * AMOUNT];
        for (uint256 i = 0; i < amounts.length; ++i) {
            vm.prank(stranger);
            vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotPermitted.selector, stranger, client));
            market.depositWithPermit(client, amounts[i], ALWAYS, v, r, s);
        }
    }

    /// @notice A8: a permit for somebody else than the market deposits nothing.
    function testA08PermitForAnotherSpender() external {
        (uint8 v, bytes32 r, bytes32 s) = permitOf(stranger, AMOUNT);

        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IComputeMarket.NotPermitted.selector, stranger, client));
        market.depositWithPermit(client, AMOUNT, ALWAYS, v, r, s);
    }

    /// @notice A8: nobody can use an authorization to receive before the market does: only its recipient can.
    function testA08AuthorizationCannotBeFrontRun() external {
        (uint8 v, bytes32 r, bytes32 s) = authorizationOf(address(market), AMOUNT, "nonce");
        vm.prank(stranger);
        vm.expectRevert();
        ISignedDollar(address(dollar))
            .receiveWithAuthorization(client, address(market), AMOUNT, 0, ALWAYS, "nonce", v, r, s);

        vm.prank(stranger);
        market.depositWithAuthorization(client, AMOUNT, 0, ALWAYS, "nonce", v, r, s);
        vm.assertEq(market.balanceOf(client), held + AMOUNT, "relayed, and the owner's");
    }

    /// @notice A8: a relayer cannot bend an authorization: not the amount, the times or the nonce, nor the owner.
    function testA08AuthorizationCannotBeBent() external {
        (uint8 v, bytes32 r, bytes32 s) = authorizationOf(address(market), AMOUNT, "nonce");
        vm.expectRevert();
        market.depositWithAuthorization(client, AMOUNT + 1, 0, ALWAYS, "nonce", v, r, s);
        vm.expectRevert();
        market.depositWithAuthorization(client, AMOUNT, 1, ALWAYS, "nonce", v, r, s);
        vm.expectRevert();
        market.depositWithAuthorization(client, AMOUNT, 0, ALWAYS - 1, "nonce", v, r, s);
        vm.expectRevert();
        market.depositWithAuthorization(client, AMOUNT, 0, ALWAYS, "other", v, r, s);
        vm.expectRevert();
        market.depositWithAuthorization(provider, AMOUNT, 0, ALWAYS, "nonce", v, r, s);

        vm.assertEq(dollar.balanceOf(client), 10 * AMOUNT, "nothing was moved");
    }

    /// @notice A8, P-01: signed deposits for nobody are refused.
    function testA08NobodyDepositsForAddressZero() external {
        vm.expectRevert(IComputeMarket.ZeroAccount.selector);
        market.depositWithPermit(address(0), AMOUNT, ALWAYS, 0, "", "");
        vm.expectRevert(IComputeMarket.ZeroAccount.selector);
        market.depositWithAuthorization(address(0), AMOUNT, 0, ALWAYS, "", 0, "", "");
        vm.expectRevert(IComputeMarket.ZeroAccount.selector);
        market.deposit(address(0), AMOUNT);
    }
}
