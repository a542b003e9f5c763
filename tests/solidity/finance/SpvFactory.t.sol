// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IProviderSpv} from "../../../contracts/finance/interfaces/IProviderSpv.sol";
import {ISpvFactory} from "../../../contracts/finance/interfaces/ISpvFactory.sol";
import {SpvTest} from "./SpvTest.sol";

/// @notice Companies are made once, at addresses that follow from owner and salt, and the factory knows its own.
contract SpvFactoryTest is SpvTest {
    /// @notice A company is where it was said that it would be, of this owner, with this operator. S-7: the events say who made it, since anybody may make one in
    /// anybody's name.
    function testCreate() external {
        address expected = factory.spvOf(owner, "other");
        vm.assertFalse(factory.isSpv(expected), "not made yet");
        vm.expectEmit(address(factory));
        emit ISpvFactory.SpvCreated(expected, owner);
        vm.expectEmit(expected);
        emit IProviderSpv.OperatorSet(operator, stranger);
        vm.prank(stranger);
        address made = factory.create(owner, operator, "other");

        vm.assertEq(made, expected, "where it was said");
        vm.assertTrue(factory.isSpv(made), "its own");
        vm.assertEq(IProviderSpv(made).owner(), owner, "owner");
        vm.assertEq(IProviderSpv(made).operator(), operator, "operator");
    }

    /// @notice One owner and salt is one company.
    function testCreateTwiceReverts() external {
        vm.expectRevert();
        factory.create(owner, next, "first");
        vm.assertEq(spv.operator(), operator, "the operator stays");
    }

    /// @notice What 0 owned, nobody could ever take out.
    function testCreateForNobodyReverts() external {
        vm.expectRevert(ISpvFactory.ZeroOwner.selector);
        factory.create(address(0), operator, "");
    }

    /// @notice Owner and salt both tell companies apart.
    function testAddressesAreApart(address one, address other, bytes32 salt) external view {
        vm.assertTrue(one == other || factory.spvOf(one, salt) != factory.spvOf(other, salt), "owners");
        vm.assertTrue(factory.spvOf(one, salt) != factory.spvOf(one, ~salt), "salts");
    }

    /// @notice Keys, other contracts, another factory's companies, and a copy of a company's code elsewhere are none of its own.
    function testIsSpvOfItsOwnOnly() external {
        ISpvFactory others = ISpvFactory(vm.deployCode("SpvFactory.sol:SpvFactory", abi.encode(address(market), SLACK)));
        address foreign = others.create(owner, operator, "first");
        address copy = address(0xC097);
        vm.etch(copy, address(spv).code);

        vm.assertTrue(others.isSpv(foreign), "the other's own");
        vm.assertFalse(factory.isSpv(foreign), "another factory's");
        vm.assertFalse(factory.isSpv(copy), "a copy");
        vm.assertFalse(factory.isSpv(stranger), "a key");
        vm.assertFalse(factory.isSpv(address(market)), "another contract");
        vm.assertEq(factory.market(), address(market), "its market");
        vm.assertTrue(factory.implementation().code.length > 0, "its code");
    }
}
