// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {IComputeMarket, Lease, Order, Status} from "../../../contracts/interfaces/IComputeMarket.sol";

/// @notice What a vault would be if nobody had thought of the attacks: it counts its balance, marks nothing, pays out at once and pushes what it pays.
/// It lends against leases whose income is assigned to it.
contract NaiveVault {
    struct Advance {
        address owner;
        address backer;
        bytes32 lease;
        uint256 owed;
        uint256 cover;
        uint256 rateBps;
        uint256 accruedAt;
        bool isApproved;
    }

    IComputeMarket public immutable market;
    IERC20 public immutable token;
    uint256 public supply;
    uint256 public lent;
    uint256 public count;
    mapping(address holder => uint256) public sharesOf;
    mapping(address backer => uint256) public coverOf;
    mapping(uint256 number => Advance) public advances;

    constructor(IComputeMarket market_, IERC20 token_) {
        (market, token) = (market_, token_);
    }

    // Its balance is its price: a donation raises it, a loss shows when somebody writes it off.
    function totalAssets() public view returns (uint256) {
        return token.balanceOf(address(this)) + lent;
    }

    function deposit(uint256 assets) external returns (uint256 shares) {
        shares = supply == 0 ? assets : assets * supply / totalAssets();
        token.transferFrom(msg.sender, address(this), assets);
        (supply, sharesOf[msg.sender]) = (supply + shares, sharesOf[msg.sender] + shares);
    }

    // The token first, the books later; whoever comes first is paid first.
    function withdraw(uint256 shares) external returns (uint256 assets) {
        require(sharesOf[msg.sender] >= shares, "so many");
        assets = shares * totalAssets() / supply;
        token.transfer(msg.sender, assets);
        unchecked {
            sharesOf[msg.sender] -= shares;
            supply -= shares;
        }
    }

    function back(uint256 amount) external {
        token.transferFrom(msg.sender, address(this), amount);
        coverOf[msg.sender] += amount;
    }

    function unback() external {
        uint256 amount = coverOf[msg.sender];
        coverOf[msg.sender] = 0;
        token.transfer(msg.sender, amount);
    }

    /// @notice Asks for four fifths of what is guaranteed.
    function request(Order calldata order, address backer) external returns (uint256 number) {
        Lease memory lease = market.leaseOf(market.orderId(order));
        require(market.payeeOf(market.orderId(order)) == address(this), "assign it first");
        uint256 amount = uint256(lease.price) * order.gpus * order.minSeconds / 3600 * 8 / 10;
        number = ++count;
        advances[number] =
            Advance(msg.sender, backer, market.orderId(order), amount, coverOf[backer], 500, block.timestamp, false);
    }

    function approve(uint256 number) external {
        require(msg.sender == address(0xAD), "the underwriter says so");
        advances[number].isApproved = true;
    }

    // "A refreshed account is in good standing": whoever refreshes it approves it.
    function refresh(uint256 number) external {
        Advance storage advance = advances[number];
        uint256 time = block.timestamp - advance.accruedAt;
        advance.owed += advance.owed * advance.rateBps * time / (10_000 * 365 days);
        (advance.accruedAt, advance.isApproved) = (block.timestamp, true);
    }

    function draw(uint256 number) external {
        Advance storage advance = advances[number];
        require(advance.isApproved && msg.sender == advance.owner, "not approved");
        lent += advance.owed;
        token.transfer(advance.owner, advance.owed);
    }

    // Pushes the owner's part: if it cannot be paid, nobody is.
    function collect(uint256 number) external {
        Advance storage advance = advances[number];
        uint256 free = market.balanceOf(address(this));
        market.withdraw(address(this), free);
        uint256 toOwner = free * 3 / 10;
        require(token.transfer(advance.owner, toOwner), "owner");
        uint256 repaid = free - toOwner < advance.owed ? free - toOwner : advance.owed;
        (advance.owed, lent) = (advance.owed - repaid, lent - repaid);
    }

    // Counts the cover that was there when it was asked.
    function writeOff(uint256 number) external {
        Advance storage advance = advances[number];
        Lease memory lease = market.leaseOf(advance.lease);
        require(lease.status == Status.Closed || lease.status == Status.None, "live");
        uint256 fromCover = advance.cover < coverOf[advance.backer] ? advance.cover : coverOf[advance.backer];
        coverOf[advance.backer] -= fromCover;
        (lent, advance.owed) = (lent - advance.owed, 0);
    }
}
