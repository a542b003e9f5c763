// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title GPU catalogue
/// @notice Append-only names of GPU classes. A class is its number: what offers and orders carry. The market never reads this contract, so
/// whoever owns it can add names, but cannot touch an offer, an order, or a cent.
/// @dev A name, once given, never changes and never goes: orders signed years ago still mean the same GPU.
contract GpuCatalogue {
    struct GpuClass {
        // What users type, such as H100-SXM-80GB.
        string name;
        // The memory of one GPU.
        uint32 vramMib;
    }

    /// @notice A class got its number.
    /// @param class its number
    /// @param name what users type
    /// @param vramMib the memory of one GPU, in MiB
    event ClassAppended(uint8 indexed class, string name, uint32 vramMib);

    /// @notice Only the owner appends; an owner of 0 is nobody.
    /// @param caller who called
    /// @param owner who may append
    error NotOwner(address caller, address owner);
    /// @notice There is no such class yet.
    /// @param class what was asked for
    /// @param count how many classes there are
    error ClassUnknown(uint256 class, uint256 count);
    /// @notice Every class has a name.
    error NameEmpty();
    /// @notice The name belongs to another class already.
    /// @param name what was to be appended
    /// @param class which has it
    error NameTaken(string name, uint8 class);
    /// @notice Class numbers have 8 bits, because an order's bitmap has 256.
    error CatalogueFull();

    uint256 private constant MAX_CLASSES = 256;

    /// @notice Who may append.
    /// @return 0 if nobody may
    address public immutable owner;

    GpuClass[] private _classes;
    // By hash of the name: its class plus one.
    mapping(bytes32 nameHash => uint256) private _numbers;

    /// @param appender who may append later; 0 is nobody
    /// @param classes the first classes, numbered from 0
    constructor(address appender, GpuClass[] memory classes) {
        owner = appender;
        for (uint256 i = 0; i < classes.length; ++i) {
            _append(classes[i]);
        }
    }

    /// @notice Gives each of `classes` the next number.
    /// @param classes names, none of them given before, and memories
    function append(GpuClass[] calldata classes) external {
        if (msg.sender != owner) revert NotOwner(msg.sender, owner);
        for (uint256 i = 0; i < classes.length; ++i) {
            _append(classes[i]);
        }
    }

    /// @notice How many classes there are; they are numbered from 0.
    /// @return how many
    function count() external view returns (uint256) {
        return _classes.length;
    }

    /// @notice The name and the memory of a class.
    /// @param class its number
    /// @return name what users type
    /// @return vramMib the memory of one GPU, in MiB
    function classOf(uint8 class) external view returns (string memory name, uint32 vramMib) {
        if (class >= _classes.length) revert ClassUnknown(class, _classes.length);
        GpuClass storage found = _classes[class];
        return (found.name, found.vramMib);
    }

    /// @notice Whether a class has this name, and which.
    /// @param name letter by letter
    /// @return isFound whether there is one
    /// @return class its number, or 0
    function classNamed(string calldata name) external view returns (bool isFound, uint8 class) {
        uint256 number = _numbers[keccak256(bytes(name))];
        return number == 0 ? (false, 0) : (true, uint8(number - 1));
    }

    function _append(GpuClass memory added) private {
        bytes32 nameHash = keccak256(bytes(added.name));
        uint256 next = _classes.length;
        if (bytes(added.name).length == 0) revert NameEmpty();
        if (_numbers[nameHash] != 0) revert NameTaken(added.name, uint8(_numbers[nameHash] - 1));
        if (next == MAX_CLASSES) revert CatalogueFull();

        _classes.push(added);
        _numbers[nameHash] = next + 1;

        emit ClassAppended(uint8(next), added.name, added.vramMib);
    }
}
