// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order} from "../../../contracts/interfaces/IComputeMarket.sol";

/// @notice What somebody would write first: a provider contract that does in the market what its operator says, and whose income is "pledged" because only
/// the lender withdraws. What attacks gain from it is what a company of ours is to refuse.
contract NaiveSpv {
    IComputeMarket private immutable _market;
    // Naive: a key that once acted for it always does.
    mapping(address key => bool) public operators;
    address public lender;

    constructor(IComputeMarket market, address operator) {
        _market = market;
        operators[operator] = true;
    }

    function addOperator(address key) external {
        operators[key] = true;
    }

    // Naive: whoever lends last is the lender.
    function pledge(address to) external {
        lender = to;
    }

    function pay(uint256 amount) external {
        require(msg.sender == lender, "not the lender");
        _market.withdraw(lender, amount);
    }

    // Naive: any call of its operator's, whatever it gives away.
    function call(bytes calldata input) external returns (bytes memory) {
        require(operators[msg.sender], "not the operator");
        (bool succeeded, bytes memory output) = address(_market).call(input);
        require(succeeded, "the market refused");
        return output;
    }

    // Naive: whatever its operator signs, it signs.
    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        (bytes32 r, bytes32 s, uint8 v) = (bytes32(signature[:32]), bytes32(signature[32:64]), uint8(signature[64]));
        return operators[ecrecover(digest, v, r, s)] ? bytes4(0x1626ba7e) : bytes4(0);
    }
}
