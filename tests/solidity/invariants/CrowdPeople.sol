// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IComputeMarket, Order, Receipt} from "../../../contracts/interfaces/IComputeMarket.sol";
import {Test} from "../Test.sol";
import {CrowdWallet, ICrowdToken} from "./CrowdTokens.sol";

/// @notice The cheatcodes that only a crowd needs.
interface Snapshots {
    function snapshotState() external returns (uint256 id);
    function revertToStateAndDelete(uint256 id) external returns (bool isDone);
    function stopRecord() external;
}

/// @notice Ten people, each of them client, provider, opener, acceptor, arbiter and payee in turn; the last three are contracts (EIP-1271). Two of the
/// four delegates are people too; two more are never trusted with enough.
abstract contract CrowdPeople is Test {
    uint256 internal constant PEOPLE = 10;
    uint256 internal constant WALLETS = 3;
    uint256 internal constant DELEGATES = 4;
    uint256 internal constant ARBITERS = 3;
    address internal constant OUTSIDER = address(0x0D);
    uint256 private constant PAUPER_KEY = 0x9A09;

    uint256 internal constant START_GRACE = 10 minutes;
    uint256 internal constant CLAIM_GRACE = 20 minutes;
    uint256 internal constant CHALLENGE_WINDOW = 30 minutes;
    uint256 internal constant RULING_WINDOW = 60 minutes;
    uint256 internal constant BOND_FLOOR = 0.5e6;

    bytes32 internal constant ORDER_TYPEHASH = keccak256(
        "Order(address client,uint256 classes,uint40 offer,uint16 gpus,uint32 maxSeconds,uint32 minSeconds,uint80 maxPrice,"
        "uint16 minBondBps,uint40 startsAt,uint40 expiresAt,uint96 tip,address opener,address acceptor,address arbiter,"
        "bytes32 spec,uint256 salt)"
    );
    bytes32 private constant RECEIPT_TYPEHASH =
        keccak256("Receipt(bytes32 lease,uint40 offer,uint40 openedAt,uint32 usedSeconds,bytes32 result,bool last)");
    bytes32 private constant PERMIT_TYPEHASH =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
    bytes32 private constant RECEIVE_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );

    Snapshots internal constant snapshots = Snapshots(address(vm));
    IComputeMarket public immutable market;
    ICrowdToken public immutable token;
    bytes32 private immutable _marketDomain;
    bytes32 private immutable _tokenDomain;

    address[PEOPLE] internal _people;
    address[DELEGATES + 2] internal _delegates;
    address[ARBITERS] internal _arbiters;
    // Never has quite enough.
    address internal immutable _pauper = vm.addr(PAUPER_KEY);
    // The key that signs for an address: its own, or its owner's.
    mapping(address => uint256) private _keys;
    // The time, without asking forge for it; only here is it moved.
    uint256 internal _now;
    uint256 internal _rolls;
    uint256 private _dice;
    // Whom the market sees calling: what only some may do is checked against it.
    address internal _actor;
    // Whose tokens a deposit takes.
    address internal _payer;

    constructor(IComputeMarket market_, ICrowdToken token_) {
        market = market_;
        _now = timestamp();
        token = token_;
        _marketDomain = domainOf("ComputeMarket", address(market_));
        _tokenDomain = domainOf("Crowd dollar", address(token_));
        for (uint256 i = 0; i < PEOPLE; ++i) {
            uint256 key = 0xC0DE + i;
            address who = vm.addr(key);
            if (i >= PEOPLE - WALLETS) who = address(new CrowdWallet(who));
            _people[i] = who;
            _keys[who] = key;
        }
        for (uint256 i = 0; i < DELEGATES + 2; ++i) {
            uint256 key = i < 2 ? 0xC0DE + i : 0xDE1E + i;
            _delegates[i] = vm.addr(key);
            _keys[vm.addr(key)] = key;
        }
        _keys[vm.addr(PAUPER_KEY)] = PAUPER_KEY;
        _arbiters = [_people[2], _people[PEOPLE - 1], OUTSIDER];
        token_.mint(address(this), type(uint128).max);
        token_.approve(address(market_), type(uint256).max);
    }

    // -------------------------------------------------------------------------------------------------------------------------------------- dice

    /// Forge likes small and repeated numbers: these dice make any of them into many.
    function roll(uint256 seed) internal {
        _dice = uint256(keccak256(abi.encode(seed, ++_rolls)));
    }

    function draw() internal returns (uint256 value) {
        value = uint256(keccak256(abi.encode(_dice)));
        _dice = value;
    }

    function between(uint256 least, uint256 most) internal returns (uint256) {
        return least + draw() % (most - least + 1);
    }

    function isOneOf(uint256 many) internal returns (bool) {
        return draw() % many == 0;
    }

    function somebody() internal returns (address) {
        return _people[draw() % PEOPLE];
    }

    function somebodyWithKey() internal returns (address) {
        return _people[draw() % (PEOPLE - WALLETS)];
    }

    function isPerson(address who) internal view returns (bool isFound) {
        for (uint256 i = 0; i < PEOPLE && !isFound; ++i) {
            isFound = _people[i] == who;
        }
    }

    // -------------------------------------------------------------------------------------------------------------------------------------- time

    function warpTo(uint256 time) internal {
        if (time <= _now) return;
        _now = time;
        vm.warp(time);
    }

    function wait(uint256 time) internal {
        warpTo(_now + time);
    }

    // -------------------------------------------------------------------------------------------------------------------------------- signatures

    /// The next call of the market is this one's.
    function from(address who) internal {
        (_actor, _payer) = (who, who);
        vm.prank(who);
    }

    /// Sixty-five bytes, and from a contract sometimes more: only it knows what they mean. Who has no key here signs nothing.
    function signatureOf(address who, bytes32 digest) internal returns (bytes memory) {
        if (_keys[who] == 0) return forgedSignature(digest);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(_keys[who], digest);
        if (who.code.length != 0 && isOneOf(2)) return abi.encodePacked(r, s, v, "of a wallet");
        return abi.encodePacked(r, s, v);
    }

    function forgedSignature(bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(0xBAD, digest);
        return abi.encodePacked(r, s, v);
    }

    function digestOf(Order memory order) internal view returns (bytes32) {
        return orderDigest(keccak256(abi.encode(ORDER_TYPEHASH, order)));
    }

    function orderDigest(bytes32 structHash) internal view returns (bytes32) {
        return typed(_marketDomain, structHash);
    }

    function digestOf(Receipt memory receipt) internal view returns (bytes32) {
        return typed(_marketDomain, keccak256(abi.encode(RECEIPT_TYPEHASH, receipt)));
    }

    function signPermit(address owner, uint256 amount, uint256 deadline)
        internal
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 terms =
            keccak256(abi.encode(PERMIT_TYPEHASH, owner, address(market), amount, token.nonces(owner), deadline));
        return vm.sign(_keys[owner], typed(_tokenDomain, terms));
    }

    function signAuthorization(address owner, uint256 amount, uint256 validBefore, bytes32 nonce)
        internal
        view
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 terms =
            keccak256(abi.encode(RECEIVE_TYPEHASH, owner, address(market), amount, uint256(0), validBefore, nonce));
        return vm.sign(_keys[owner], typed(_tokenDomain, terms));
    }

    function typed(bytes32 domain, bytes32 structHash) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function domainOf(string memory name, address verifyingContract) private view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
                block.chainid,
                verifyingContract
            )
        );
    }
}
