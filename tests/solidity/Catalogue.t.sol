// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {GpuCatalogue} from "../../contracts/GpuCatalogue.sol";
import {Test} from "./Test.sol";

/// @notice The names of GPU classes.
contract CatalogueTest is Test {
    string internal constant COMMITTED = "marketplace/domain/gpu_classes.json";

    GpuCatalogue internal catalogue;

    function setUp() external {
        GpuCatalogue.GpuClass[] memory classes = new GpuCatalogue.GpuClass[](2);
        classes[0] = GpuCatalogue.GpuClass({name: "A", vramMib: 1});
        classes[1] = GpuCatalogue.GpuClass({name: "B", vramMib: 2});
        catalogue = new GpuCatalogue(address(this), classes);
    }

    /// @notice The committed list of classes can be deployed, and reads back number by number.
    function testTheCommittedListIsACatalogue() external {
        string memory json = vm.readFile(COMMITTED);
        uint256 size;
        while (vm.keyExistsJson(json, entry(size, ""))) ++size;
        GpuCatalogue.GpuClass[] memory classes = new GpuCatalogue.GpuClass[](size);
        for (uint256 i = 0; i < size; ++i) {
            vm.assertEq(vm.parseJsonUint(json, entry(i, ".class")), i, "numbered in order");
            classes[i].name = vm.parseJsonString(json, entry(i, ".name"));
            classes[i].vramMib = uint32(vm.parseJsonUint(json, entry(i, ".vram_mib")));
        }

        GpuCatalogue deployed = new GpuCatalogue(address(0), classes);

        vm.assertTrue(size >= 30, "the classes that people rent");
        vm.assertEq(deployed.count(), size, "all of them");
        for (uint256 i = 0; i < size; ++i) {
            (string memory name, uint32 vramMib) = deployed.classOf(uint8(i));
            vm.assertEq(name, classes[i].name, "name");
            vm.assertEq(vramMib, classes[i].vramMib, "memory");
            (bool isFound, uint8 class) = deployed.classNamed(name);
            vm.assertTrue(isFound && class == i, "found by name");
        }
    }

    /// @notice The owner appends; what was there keeps its number.
    function testAppendGivesTheNextNumber() external {
        vm.expectEmit(address(catalogue));
        emit GpuCatalogue.ClassAppended(2, "C", 3);
        catalogue.append(one("C", 3));

        vm.assertEq(catalogue.count(), 3, "one more");
        (string memory name,) = catalogue.classOf(0);
        vm.assertEq(name, "A", "the first stays");
    }

    /// @notice Nobody else appends; of a catalogue owned by 0, nobody.
    function testAppendByAnybodyElseReverts() external {
        vm.prank(address(0xBAD));
        vm.expectRevert(abi.encodeWithSelector(GpuCatalogue.NotOwner.selector, address(0xBAD), address(this)));
        catalogue.append(one("C", 3));
    }

    /// @notice A name means one class, for ever.
    function testATakenNameReverts() external {
        vm.expectRevert(abi.encodeWithSelector(GpuCatalogue.NameTaken.selector, "B", 1));
        catalogue.append(one("B", 3));
    }

    /// @notice A class has a name.
    function testAnEmptyNameReverts() external {
        vm.expectRevert(GpuCatalogue.NameEmpty.selector);
        catalogue.append(one("", 3));
    }

    /// @notice What is not there is said to be missing.
    function testAnUnknownClass() external {
        (bool isFound,) = catalogue.classNamed("C");
        vm.assertFalse(isFound, "no such name");
        vm.expectRevert(abi.encodeWithSelector(GpuCatalogue.ClassUnknown.selector, 2, 2));
        catalogue.classOf(2);
    }

    /// @notice A catalogue holds 256 classes, as many as an order's bitmap.
    function testACatalogueFillsUp() external {
        for (uint256 i = 2; i < 256; ++i) {
            catalogue.append(one(vm.toString(i), 1));
        }
        (bool isFound, uint8 class) = catalogue.classNamed("255");
        vm.assertTrue(isFound && class == 255, "the last");

        vm.expectRevert(GpuCatalogue.CatalogueFull.selector);
        catalogue.append(one("256", 1));
    }

    function one(string memory name, uint32 vramMib) private pure returns (GpuCatalogue.GpuClass[] memory classes) {
        classes = new GpuCatalogue.GpuClass[](1);
        classes[0] = GpuCatalogue.GpuClass({name: name, vramMib: vramMib});
    }

    function entry(uint256 index, string memory field) private pure returns (string memory) {
        return string.concat("[", vm.toString(index), "]", field);
    }
}
