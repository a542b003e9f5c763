// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    Fill,
    IComputeMarket,
    Lease,
    Offer,
    Order,
    Receipt,
    Settlement,
    Status
} from "../../contracts/interfaces/IComputeMarket.sol";
import {ITestDollar, MarketTest} from "./MarketTest.sol";
import {Test} from "./Test.sol";

/// @notice Five people, each of them client, provider, opener and acceptor in turn, use every verb in any order while time moves.
/// @dev A step for which there is nothing to act on is discarded; a step that finds something must succeed, or the run fails. So the table that forge
/// prints (calls, reverts, discards) tells how often each verb truly worked.
contract Crowd is Test {
    uint256 internal constant PEOPLE = 5;
    uint256 internal constant CLASSES = 3;
    uint256 internal constant MAX_OFFERS = 12;
    uint256 internal constant ALLOWANCE = type(uint256).max;

    IComputeMarket public immutable market;
    ITestDollar public immutable dollar;

    address[PEOPLE] internal _people;
    Order[] internal _orders;
    bytes32[] internal _ids;
    // What the market said of each order after the last step.
    Lease[] internal _last;
    // Which orders are not closed: only these can change. What became of the closed ones is looked at in the end.
    uint256[] internal _alive;
    uint40 public offers;
    uint256 public donated;
    // By class, from the moves of paidSeconds that were seen.
    uint256[CLASSES] public paid;
    uint256[CLASSES] public gpuSeconds;

    constructor(IComputeMarket market_, ITestDollar dollar_) {
        market = market_;
        dollar = dollar_;
        for (uint256 i = 0; i < PEOPLE; ++i) {
            _people[i] = vm.addr(key(i));
            vm.prank(person(i));
            dollar.approve(address(market), ALLOWANCE);
            fund(person(i), 10_000e6);
            list(i, i, i * 31, i);
        }
    }

    /// @notice After every step: what the market says of each order follows from what it said before (I-4, I-5), and volumes follow from it (I-11).
    modifier step() {
        _;
        look();
    }

    // ------------------------------------------------------------------------------------------------------------------------------------- steps

    function wait(uint256 seed) external step {
        uint256 scale = seed % 16;
        uint256 most = scale < 4 ? 1 : scale < 10 ? 60 : scale < 15 ? 20 minutes : 30 hours;
        vm.warp(timestamp() + bound(seed >> 8, 1, most));
    }

    function deposit(uint256 who, uint256 forWhom, uint256 amount) external step {
        amount = bound(amount, 0, 1_000e6);
        dollar.mint(person(who), amount);
        vm.prank(person(who));
        market.deposit(person(forWhom), amount);
    }

    function withdraw(uint256 who, uint256 to, uint256 amount) external step {
        amount = bound(amount, 0, market.balanceOf(person(who)));
        vm.prank(person(who));
        market.withdraw(person(to), amount);
    }

    function donate(uint256 amount) external step {
        amount = bound(amount, 1, 1e6);
        dollar.mint(address(market), amount);
        donated += amount;
    }

    function list(uint256 who, uint256 class, uint256 terms, uint256 minSeconds) public step {
        vm.assume(offers < MAX_OFFERS);
        vm.prank(person(who));
        offers = market.list({
            class: uint8(class % CLASSES),
            gpus: uint16(bound(terms, 8, 32)),
            bondBps: uint16(bound(terms >> 16, 0, 10_000)),
            price: uint80(bound(terms >> 32, 0, 5e6)),
            minSeconds: uint16(minSeconds % 4 == 0 ? bound(minSeconds, 0, 600) : 0),
            expiresAt: type(uint40).max,
            arbiter: address(0xA2B1),
            spec: bytes32(terms)
        });
    }

    function reprice(uint256 which, uint256 price) external step {
        uint40 offer = uint40(bound(which, 1, offers));
        vm.prank(market.offerOf(offer).provider);
        market.reprice(offer, uint80(bound(price, 0, 5e6)), type(uint40).max);
    }

    /// Signs new orders and opens them: several, because the other steps need some.
    function open(uint256 seed, uint256 terms) external step {
        for (uint256 i = 0; i < 3; ++i) {
            openOne(seed, terms);
            (seed, terms) = (uint256(keccak256(abi.encode(seed))), uint256(keccak256(abi.encode(terms))));
            if (seed % 3 == 0) break;
        }
    }

    /// Opens a declined order again; if there is none, has one declined.
    function reopen(uint256 seed) external step {
        (bool isFound, uint256 index) = find(seed, Status.None);
        if (!isFound) index = declineOne(seed);
        vm.assume(_last[index].status == Status.None);
        if (_last[index].openedAt >= timestamp()) vm.warp(_last[index].openedAt + 1);
        Order memory order = _orders[index];
        uint40 offerId = offerWithRoom(seed);
        Offer memory offer = market.offerOf(offerId);
        vm.assume(order.gpus <= offer.free && order.minSeconds >= offer.minSeconds && order.maxPrice >= offer.price);
        vm.assume(order.classes >> offer.class & 1 == 1);
        openAndExpect(order, offerId, offer.price, seed);
    }

    /// Anything at all, in one batch with nothing that holds: nothing may change, nothing may revert (I-9).
    function openNoise(Fill calldata noise, bytes32 round, uint256 which) external step {
        vm.assume(noise.order.client > address(0xffff));
        Fill[] memory fills = new Fill[](2);
        fills[0] = noise;
        fills[1] = noise;
        fills[1].offer = uint40(which % (offers + 2));
        if (_orders.length != 0) fills[1].order = _orders[which % _orders.length];
        bytes32 before = everything();

        vm.prank(address(0xBAD));
        market.open(fills, round);

        vm.assertEq(everything(), before, "I-9: refused fills change nothing");
    }

    function settleNoise(uint32 usedSeconds, bytes32 result, bool last, bytes calldata noise, uint256 which)
        external
        step
    {
        vm.assume(_orders.length != 0);
        Order memory order = _orders[which % _orders.length];
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = Settlement(order, usedSeconds, result, last, noise, noise);
        bytes32 before = everything();

        vm.prank(address(0xBAD));
        market.settle(settlements);

        vm.assertEq(everything(), before, "I-9: refused settlements change nothing");
    }

    function cancel(uint256 seed) external step {
        (bool isFound, uint256 index) = find(seed, seed % 8 == 0 ? Status.Open : Status.None);
        vm.assume(isFound);
        vm.prank(seed % 16 < 8 ? _orders[index].client : _orders[index].acceptor);
        market.cancel(_orders[index]);
    }

    function settleProgress(uint256 seed, uint256 usedSeconds) external step {
        (bool isFound, uint256 index) = find(seed, seed % 8 == 0 ? Status.Claimed : Status.Open);
        if (!isFound) index = findOpen(seed);
        uint256 most = mostSecondsOf(index);
        vm.assume(most > _last[index].paidSeconds);
        settle(index, uint32(bound(usedSeconds, _last[index].paidSeconds + 1, most)), false, seed);
    }

    function settleLast(uint256 seed, uint256 usedSeconds) external step {
        (bool isFound, uint256 index) = find(seed, seed % 4 == 0 ? Status.Claimed : Status.Open);
        if (!isFound) index = findOpen(seed);
        settle(index, uint32(bound(usedSeconds, _last[index].paidSeconds, mostSecondsOf(index))), true, seed);
        assertStatus(index, Status.Closed);
    }

    function claim(uint256 seed, uint256 usedSeconds) external step {
        claimOne(seed, usedSeconds);
    }

    /// Finalizes a claimed lease; if there is none, has one claimed.
    function finalize(uint256 seed) external step {
        (bool isFound, uint256 index) = find(seed, Status.Claimed);
        if (!isFound) index = claimOne(seed, seed);
        vm.warp(max(timestamp(), _last[index].changedAt + market.CHALLENGE_WINDOW()));
        finalizeNow(index);
        assertStatus(index, Status.Closed);
    }

    function terminate(uint256 seed) external step {
        uint256 index = findOpen(seed);
        vm.prank(seed % 2 == 0 ? _orders[index].client : _orders[index].acceptor);
        market.terminate(_orders[index]);
    }

    function decline(uint256 seed) external step {
        declineOne(seed);
    }

    function expire(uint256 seed) external step {
        (bool isFound, uint256 index) = find(seed, Status.Open);
        if (!isFound) index = findOpen(seed);
        vm.warp(max(timestamp(), deadlineOf(index)));
        market.expire(_orders[index]);
        assertStatus(index, Status.Closed);
    }

    // ------------------------------------------------------------------------------------------------------------------------------ reading along

    /// @notice Everything that belongs to anybody: free balances, and what is locked in live leases.
    function owed() external view returns (uint256 sum) {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            sum += market.balanceOf(person(i));
        }
        for (uint256 i = 0; i < _alive.length; ++i) {
            Lease memory lease = _last[_alive[i]];
            if (lease.status == Status.None) continue;
            Order memory order = _orders[_alive[i]];
            sum += total(order, lease) - earned(order, lease, lease.paidSeconds) + bondOf(order, lease);
        }
    }

    /// @notice By offer, the GPUs of the open leases on it.
    function taken() external view returns (uint256[] memory gpus) {
        gpus = new uint256[](offers + 1);
        for (uint256 i = 0; i < _alive.length; ++i) {
            Lease storage lease = _last[_alive[i]];
            if (lease.status == Status.Open) gpus[lease.offer] += _orders[_alive[i]].gpus;
        }
    }

    /// @notice I-8: time and public verbs alone empty every lock, and everybody withdraws everything.
    function everybodyLeaves() external {
        for (uint256 i = 0; i < _orders.length; ++i) {
            observe(_orders[i], _last[i], market.leaseOf(_ids[i]));
            if (_last[i].status == Status.Open) {
                vm.warp(max(timestamp(), deadlineOf(i)));
                market.expire(_orders[i]);
            } else if (_last[i].status == Status.Claimed) {
                vm.warp(max(timestamp(), _last[i].changedAt + market.CHALLENGE_WINDOW()));
                finalizeNow(i);
            }
        }
        for (uint256 i = 0; i < PEOPLE; ++i) {
            uint256 all = market.balanceOf(person(i));
            vm.prank(person(i));
            market.withdraw(person(i), all);
        }
    }

    function person(uint256 index) internal view returns (address) {
        return _people[index % PEOPLE];
    }

    function key(uint256 index) internal pure returns (uint256) {
        return 0xC0DE + index % PEOPLE;
    }

    function look() private {
        for (uint256 i = _alive.length; i != 0; --i) {
            uint256 index = _alive[i - 1];
            Lease memory lease = market.leaseOf(_ids[index]);
            if (keccak256(abi.encode(lease)) == keccak256(abi.encode(_last[index]))) continue;
            observe(_orders[index], _last[index], lease);
            _last[index] = lease;
            if (lease.status == Status.Closed) {
                _alive[i - 1] = _alive[_alive.length - 1];
                _alive.pop();
            }
        }
    }

    /// I-4 and I-5 for one order, and the volumes that its payments add up to.
    function observe(Order memory order, Lease memory before, Lease memory now_) private {
        if (before.status == Status.Closed) {
            vm.assertEq(
                keccak256(abi.encode(now_)), keccak256(abi.encode(before)), "I-5: what is closed stays as it was"
            );
        }
        bool wasLive = before.status != Status.None && before.status != Status.Closed;
        if (wasLive && now_.status != Status.None) {
            vm.assertEq(now_.openedAt, before.openedAt, "I-5: the same serving");
            vm.assertEq(now_.price, before.price, "I-4: the price stays");
            vm.assertTrue(now_.paidSeconds >= before.paidSeconds, "I-5: what is paid stays paid");
        }
        if (now_.status != Status.None) {
            vm.assertTrue(now_.price <= order.maxPrice, "I-4: never above the limit");
            vm.assertTrue(now_.paidSeconds <= order.maxSeconds, "I-4: never longer than the most");
        }
        uint256 paidBefore = wasLive ? before.paidSeconds : 0;
        if (now_.status == Status.None || now_.paidSeconds == paidBefore || before.status == Status.Closed) return;
        uint8 class = market.offerOf(now_.offer).class;
        paid[class] += earned(order, now_, now_.paidSeconds) - earned(order, now_, paidBefore);
        gpuSeconds[class] += (now_.paidSeconds - paidBefore) * order.gpus;
    }

    /// Everything that the market stores about the people, offers and orders of this crowd.
    function everything() private view returns (bytes32 digest) {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            digest = keccak256(abi.encode(digest, market.balanceOf(person(i))));
        }
        for (uint40 i = 1; i <= offers; ++i) {
            digest = keccak256(abi.encode(digest, market.offerOf(i)));
        }
        for (uint256 i = 0; i < _orders.length; ++i) {
            digest = keccak256(abi.encode(digest, market.leaseOf(_ids[i])));
        }
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ acting

    function newOrder(uint256 seed, uint256 terms, Offer memory offer) private view returns (Order memory) {
        uint32 maxSeconds = uint32(bound(terms, 600, terms % 3 == 0 ? 40 hours : 7_000));
        return Order({
            client: person(seed >> 8),
            classes: seed % 3 == 0 ? 1 << offer.class : type(uint256).max,
            offer: 0,
            gpus: uint16(bound(terms >> 40, 1, terms % 8 == 0 ? offer.free : 1 + offer.free / 4)),
            maxSeconds: maxSeconds,
            minSeconds: uint32(bound(terms >> 80, offer.minSeconds, terms % 2 == 0 ? 600 : maxSeconds)),
            maxPrice: uint80(bound(terms >> 120, offer.price, 6e6)),
            minBondBps: 0,
            startsAt: uint40(seed % 5 == 0 ? timestamp() - terms % 100 : 0),
            expiresAt: type(uint40).max,
            tip: uint96(seed % 2 == 0 ? bound(terms >> 160, 0, 1e6) : 0),
            opener: person(seed >> 16),
            acceptor: person(seed >> 24),
            arbiter: address(0xA2B1),
            spec: bytes32(terms),
            salt: _orders.length
        });
    }

    function openOne(uint256 seed, uint256 terms) private {
        uint40 offerId = offerWithRoom(seed);
        Order memory order = newOrder(seed, terms, market.offerOf(offerId));
        uint80 ask = market.offerOf(offerId).price;
        openAndExpect(order, offerId, uint80(bound(terms >> 200, ask, order.maxPrice)), seed);
    }

    /// An open lease before its deadline; if there is none near, opens one.
    function findOpen(uint256 seed) private returns (uint256 index) {
        bool isFound;
        (isFound, index) = find(seed, Status.Open);
        if (isFound && timestamp() < deadlineOf(index)) return index;
        openOne(seed, seed >> 7);
        look();
        return _orders.length - 1;
    }

    function claimOne(uint256 seed, uint256 usedSeconds) private returns (uint256 index) {
        index = findOpen(seed);
        vm.warp(max(timestamp(), _last[index].openedAt + _orders[index].minSeconds));
        vm.assume(elapsedOf(index) >= _last[index].paidSeconds);
        vm.prank(providerOf(index));
        market.claim(
            _orders[index], uint32(bound(usedSeconds, _last[index].paidSeconds, elapsedOf(index))), bytes32(seed)
        );
        assertStatus(index, Status.Claimed);
        look();
    }

    /// Declines a lease that is young enough; if there is none, opens one.
    function declineOne(uint256 seed) private returns (uint256 index) {
        bool isFound;
        (isFound, index) = find(seed, Status.Open);
        if (!isFound || timestamp() >= _last[index].openedAt + market.START_GRACE()) {
            openOne(seed, seed >> 7);
            look();
            index = _orders.length - 1;
        }
        Lease memory lease = _last[index];
        vm.assume(earned(_orders[index], lease, lease.paidSeconds) <= bondOf(_orders[index], lease));
        vm.prank(providerOf(index));
        market.decline(_orders[index]);
        look();
    }

    function openAndExpect(Order memory order, uint40 offerId, uint80 price, uint256 seed) private {
        fund(order.client, 2_000e6 * uint256(order.gpus));
        fund(market.offerOf(offerId).provider, 2_000e6 * uint256(order.gpus));
        bytes32 id = market.orderId(order);
        Fill[] memory fills = new Fill[](1);
        fills[0] = Fill(order, offerId, price, "");
        if (seed % 7 == 0) {
            vm.prank(order.client);
        } else {
            fills[0].signature = sign(keyOf(order.client), id);
            vm.prank(order.opener);
        }
        market.open(fills, bytes32(seed));
        Lease memory lease = market.leaseOf(id);
        vm.assertEq(uint8(lease.status), uint8(Status.Open), "a good fill opens");
        if (order.salt == _orders.length) {
            _orders.push(order);
            _ids.push(id);
            Lease memory none;
            _last.push(none);
            _alive.push(_orders.length - 1);
        }
    }

    function settle(uint256 index, uint32 usedSeconds, bool last, uint256 seed) private {
        Order memory order = _orders[index];
        bytes32 id = market.orderId(order);
        bytes32 digest =
            market.receiptId(Receipt(id, _last[index].offer, _last[index].openedAt, usedSeconds, bytes32(seed), last));
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = Settlement({
            order: order,
            usedSeconds: usedSeconds,
            result: bytes32(seed),
            last: last,
            clientSignature: sign(keyOf(seed % 3 == 0 ? order.acceptor : order.client), digest),
            providerSignature: last ? sign(keyOf(providerOf(index)), digest) : bytes("")
        });
        vm.prank(person(seed >> 8));
        market.settle(settlements);
        vm.assertEq(market.leaseOf(id).paidSeconds, usedSeconds, "a good receipt settles");
    }

    function finalizeNow(uint256 index) private {
        Order[] memory orders = new Order[](1);
        orders[0] = _orders[index];
        market.finalize(orders);
    }

    function fund(address account, uint256 amount) private {
        dollar.mint(account, amount);
        vm.prank(account);
        market.deposit(account, amount);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- finding

    /// The first order at or after a random place that has this status.
    function find(uint256 seed, Status status) private view returns (bool isFound, uint256 index) {
        for (uint256 i = 0; i < _alive.length; ++i) {
            index = _alive[((seed >> 32) % _alive.length + i) % _alive.length];
            if (_last[index].status == status) return (true, index);
        }
    }

    function offerWithRoom(uint256 seed) private view returns (uint40) {
        for (uint256 i = 0; i < offers; ++i) {
            uint40 offer = uint40(1 + (seed % offers + i) % offers);
            if (market.offerOf(offer).free != 0) return offer;
        }
        vm.assume(false);
        return 0;
    }

    function providerOf(uint256 index) private view returns (address) {
        return market.offerOf(_last[index].offer).provider;
    }

    function keyOf(address who) private view returns (uint256) {
        for (uint256 i = 0; i < PEOPLE; ++i) {
            if (person(i) == who) return key(i);
        }
        revert("nobody of this crowd");
    }

    function sign(uint256 signer, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(signer, digest);
        return abi.encodePacked(r, s, v);
    }

    function assertStatus(uint256 index, Status status) private view {
        vm.assertEq(uint8(market.statusOf(_orders[index])), uint8(status), "the step worked");
    }

    // ------------------------------------------------------------------------------------------------------ the formulas, a second time and plainly

    function elapsedOf(uint256 index) private view returns (uint256) {
        uint256 elapsed = timestamp() - max(_last[index].openedAt, _orders[index].startsAt);
        return elapsed < _orders[index].maxSeconds ? elapsed : _orders[index].maxSeconds;
    }

    function mostSecondsOf(uint256 index) private view returns (uint256) {
        return max(elapsedOf(index), _orders[index].minSeconds);
    }

    function deadlineOf(uint256 index) private view returns (uint256) {
        return max(_last[index].openedAt, _orders[index].startsAt) + _orders[index].maxSeconds + market.CLAIM_GRACE();
    }

    function earned(Order memory order, Lease memory lease, uint256 time) private pure returns (uint256) {
        return uint256(lease.price) * order.gpus * time / 3600;
    }

    function total(Order memory order, Lease memory lease) private pure returns (uint256) {
        return (uint256(lease.price) * order.gpus * order.maxSeconds + 3599) / 3600;
    }

    function bondOf(Order memory order, Lease memory lease) private view returns (uint256) {
        return max(total(order, lease) * market.offerOf(lease.offer).bondBps / 10_000, market.BOND_FLOOR());
    }

    function max(uint256 left, uint256 right) private pure returns (uint256) {
        return left > right ? left : right;
    }
}

/// @notice What holds after any sequence of steps of any people.
contract InvariantsTest is MarketTest {
    Crowd internal crowd;

    function setUp() public override {
        vm.warp(NOW);
        dollar = ITestDollar(vm.deployCode("TestDollar.sol:TestDollar"));
        market = deployMarket(address(dollar));
        crowd = new Crowd(market, dollar);
    }

    /// @notice Forge calls only the crowd.
    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(crowd);
    }

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    /// @notice What the crowd does only at the end.
    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        excluded = new FuzzSelector[](1);
        excluded[0].addr = address(crowd);
        excluded[0].selectors = new bytes4[](1);
        excluded[0].selectors[0] = Crowd.everybodyLeaves.selector;
    }

    /// @notice I-1, I-3, I-11 after every step; I-4, I-5 and I-9 are asserted by the crowd itself.
    function invariant_MoneyAndGpusAddUp() external view {
        vm.assertEq(
            dollar.balanceOf(address(market)), crowd.owed() + crowd.donated(), "I-1: the market owes what it has"
        );
        uint256[] memory taken = crowd.taken();
        for (uint40 i = 1; i < taken.length; ++i) {
            Offer memory listed = market.offerOf(i);
            vm.assertEq(listed.free + taken[i], listed.gpus, "I-3: free GPUs and taken ones are all");
        }
        for (uint8 class = 0; class < 3; ++class) {
            (uint128 paid, uint128 gpuSeconds) = market.volumeOf(class);
            vm.assertEq(paid, crowd.paid(class), "I-11: volume paid");
            vm.assertEq(gpuSeconds, crowd.gpuSeconds(class), "I-11: volume of GPU-seconds");
        }
    }

    /// @notice I-8, at the end of every run.
    function afterInvariant() external {
        crowd.everybodyLeaves();

        vm.assertEq(dollar.balanceOf(address(market)), crowd.donated(), "I-8: nothing is left but what nobody owns");
    }
}
