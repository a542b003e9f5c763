// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, IComputeMarket, Order, Receipt, Refusal} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AnsweringWallet, BombWallet, BurningWallet, RevertingWallet} from "../wallets/AwkwardWallets.sol";
import {ViolationsTest} from "./ViolationsTest.sol";

/// @notice P-20, P-25, I-7: a valid fill of which one thing is broken: who signed it, how, or what it says since.
/// forge-config: default.fuzz.runs = 100
/// forge-config: deep.fuzz.runs = 1000
contract SignatureViolationsTest is ViolationsTest {
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    // ------------------------------------------------------------------------------------------------------- each field, changed after signing

    /// @notice P-20: nobody pays with another client's signature.
    function testClientChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.client = chance() ? acceptor : acceptorWallet;
        assertBadSignature(fill);
    }

    /// @notice P-20: the classes are signed.
    function testClassesChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        uint8 class = market.offerOf(offer).class;
        fill.order.classes ^= 1 << (uint256(class) + draw(1, 255)) % 256;
        assertBadSignature(fill);
    }

    /// @notice P-20: the pinned offer is signed.
    function testOfferChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.offer = fill.order.offer == 0 ? offer : 0;
        assertBadSignature(fill);
    }

    /// @notice P-20: the size of the gang is signed.
    function testGpusChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.gpus = fill.order.gpus == 1 ? 2 : uint16(draw(1, fill.order.gpus - 1));
        assertBadSignature(fill);
    }

    /// @notice P-20: the longest time is signed.
    function testMaxSecondsChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.maxSeconds += uint32(draw(1, 1e6));
        assertBadSignature(fill);
    }

    /// @notice P-20: the guaranteed time is signed.
    function testMinSecondsChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.minSeconds = uint32(draw(uint256(fill.order.minSeconds) + 1, fill.order.maxSeconds));
        assertBadSignature(fill);
    }

    /// @notice P-20: the highest price is signed.
    function testMaxPriceChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.maxPrice = uint80(draw(uint256(fill.order.maxPrice) + 1, type(uint80).max));
        if (chance()) fill.price = fill.order.maxPrice;
        assertBadSignature(fill);
    }

    /// @notice P-20: the smallest bond share is signed.
    function testMinBondBpsChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.minBondBps = fill.order.minBondBps == 0 ? 1 : uint16(draw(0, fill.order.minBondBps - 1));
        assertBadSignature(fill);
    }

    /// @notice P-20: the start of metering is signed.
    function testStartsAtChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.startsAt = uint40(fill.order.startsAt == 0 ? draw(1, NOW) : fill.order.startsAt - 1);
        assertBadSignature(fill);
    }

    /// @notice P-20: the expiry is signed.
    function testExpiresAtChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.expiresAt = uint40(draw(NOW + 92 days, type(uint40).max));
        if (chance()) vm.warp(NOW + 91 days);
        assertBadSignature(fill);
    }

    /// @notice P-20: the tip is signed.
    function testTipChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        (fill.order.opener, sender) = (opener, opener);
        assertHolds(signed(fill));
        fill.order.tip += uint96(draw(1, RICH >> 80));
        assertBadSignature(fill);
    }

    /// @notice P-20: the opener is signed.
    function testOpenerChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        sender = acceptor;
        fill.order.opener = acceptor;
        assertBadSignature(fill);
    }

    /// @notice P-20: the acceptor is signed.
    function testAcceptorChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.acceptor = vm.addr(draw(1, type(uint128).max));
        assertBadSignature(fill);
    }

    /// @notice P-20: the arbiter is signed, even if the offer names the same other one.
    function testArbiterChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.offer = 0;
        fill = signed(fill);
        assertHolds(fill);
        fill.order.arbiter = stranger;
        uint8 class = market.offerOf(offer).class;
        vm.prank(provider);
        fill.offer = market.list({
            class: class,
            gpus: type(uint16).max,
            bondBps: 9_999,
            price: 0,
            minSeconds: 0,
            expiresAt: type(uint40).max,
            arbiter: stranger,
            spec: 0
        });
        assertBadSignature(fill);
    }

    /// @notice P-20: the job is signed.
    function testSpecChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.spec = keccak256(abi.encode(seed));
        assertBadSignature(fill);
    }

    /// @notice P-20: the salt is signed: one signature, one lease.
    function testSaltChangedAfterSigning(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.salt ^= draw(1, type(uint256).max);
        assertBadSignature(fill);
    }

    // ----------------------------------------------------------------------------------------------------------------- another market, another use

    /// @notice P-20: an order that was signed for another chain is refused.
    function testSignedForAnotherChain(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        vm.chainId(draw(1, type(uint64).max - 1));
        assertBadSignature(fill);
    }

    /// @notice P-20: an order that was signed for another market is refused.
    function testSignedForAnotherMarket(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        (IComputeMarket here, IComputeMarket other) = (market, elsewhere);
        market = other;
        fill = signed(fill);
        market = here;
        assertBadSignature(fill);
    }

    /// @notice P-25: what the client signed as a message of an Ethereum wallet is no order.
    function testSignedAsAMessage(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        bytes32 id = market.orderId(fill.order);
        fill.signature = sign(CLIENT_KEY, keccak256(abi.encodePacked("\x19Ethereum Signed Message:\n32", id)));
        assertBadSignature(fill);
    }

    /// @notice P-25: a receipt that the client signed is no order.
    function testSignedAReceiptInstead(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        bytes32 id = market.orderId(fill.order);
        Receipt memory receipt = Receipt(id, offer, uint40(NOW), fill.order.maxSeconds, RESULT, true);
        fill.signature = sign(CLIENT_KEY, market.receiptId(receipt));
        assertBadSignature(fill);
    }

    // --------------------------------------------------------------------------------------------------------------------------------- who signed

    /// @notice P-20: nobody else's signature opens a client's order: not the provider's, acceptor's, arbiter's or opener's.
    function testSignedBySomebodyElse(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        uint256[5] memory keys = [PROVIDER_KEY, ACCEPTOR_KEY, STRANGER_KEY, 0x09E2, 0xA2B1];
        orderKey = keys[draw(0, 4)];
        assertBadSignature(signed(fill));
    }

    /// @notice P-20: roles are not swapped: the provider is not paid by an order that names it as the client.
    function testSwappedRoles(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.client = market.offerOf(offer).provider;
        orderKey = CLIENT_KEY;
        assertBadSignature(signed(fill));
    }

    /// @notice P-25: an address with neither a key nor code signs nothing, whatever the bytes say.
    function testSignedByAnAddressWithoutKeyOrCode(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        fill.order.client = address(0xE0E0);
        deposit(fill.order.client, RICH);
        fill = signed(fill);
        assertBadSignature(fill);
    }

    /// @notice P-25: what recovers to 0 does not sign for the account 0; nor can anybody fund that account, so that its order costs nothing here.
    function testSignedByNobodyForAddressZero(uint256 seed) external {
        Fill memory fill = aValidFill(seed);
        vm.prank(market.offerOf(offer).provider);
        market.reprice(offer, 0, type(uint40).max);
        (fill.order.client, fill.order.tip, fill.price) = (address(0), 0, 0);
        fill.signature = abi.encodePacked(draw(0, CURVE_ORDER), draw(0, CURVE_ORDER / 2), uint8(draw(0, 26)));
        assertBadSignature(fill);
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- malformed

    /// @notice P-25: the other, equally valid signature with a high s is refused.
    function testHighS(uint256 seed) external {
        (Fill memory fill, uint8 v, bytes32 r, bytes32 s) = parts(seed);
        fill.signature = abi.encodePacked(r, CURVE_ORDER - uint256(s), v == 27 ? uint8(28) : uint8(27));
        assertBadSignature(fill);
    }

    /// @notice P-25: a compact signature of 64 bytes (EIP-2098) is refused.
    function testCompactSignature(uint256 seed) external {
        (Fill memory fill, uint8 v, bytes32 r, bytes32 s) = parts(seed);
        fill.signature = abi.encodePacked(r, uint256(s) | uint256(v - 27) << 255);
        assertBadSignature(fill);
    }

    /// @notice P-25: a signature with trailing bytes is refused.
    function testTrailingBytes(uint256 seed) external {
        (Fill memory fill,,,) = parts(seed);
        fill.signature = bytes.concat(fill.signature, new bytes(draw(1, 64)));
        assertBadSignature(fill);
    }

    /// @notice P-25: a signature that was cut short is refused.
    function testTruncatedSignature(uint256 seed) external {
        (Fill memory fill,,,) = parts(seed);
        bytes memory cut = new bytes(draw(1, 64));
        for (uint256 i = 0; i < cut.length; ++i) {
            cut[i] = fill.signature[i];
        }
        fill.signature = cut;
        assertBadSignature(fill);
    }

    /// @notice P-25: an empty signature is refused of everybody but the client itself.
    function testEmptySignature(uint256 seed) external {
        (Fill memory fill,,,) = parts(seed);
        fill.signature = "";
        assertBadSignature(fill);
    }

    /// @notice P-25: a v of 0 or 1 is refused.
    function testVOfZeroOrOne(uint256 seed) external {
        (Fill memory fill, uint8 v, bytes32 r, bytes32 s) = parts(seed);
        fill.signature = abi.encodePacked(r, s, v - 27);
        assertBadSignature(fill);
    }

    /// @notice P-25: the other v names another signer.
    function testOtherV(uint256 seed) external {
        (Fill memory fill, uint8 v, bytes32 r, bytes32 s) = parts(seed);
        fill.signature = abi.encodePacked(r, s, v == 27 ? uint8(28) : uint8(27));
        assertBadSignature(fill);
    }

    /// @notice P-25: a v of any other value is refused.
    function testAnyOtherV(uint256 seed) external {
        (Fill memory fill,, bytes32 r, bytes32 s) = parts(seed);
        fill.signature = abi.encodePacked(r, s, uint8(draw(29, 255)));
        assertBadSignature(fill);
    }

    /// @notice P-25: an r of 0 is refused.
    function testZeroR(uint256 seed) external {
        (Fill memory fill, uint8 v,, bytes32 s) = parts(seed);
        fill.signature = abi.encodePacked(bytes32(0), s, v);
        assertBadSignature(fill);
    }

    /// @notice P-25: an s of 0 is refused.
    function testZeroS(uint256 seed) external {
        (Fill memory fill, uint8 v, bytes32 r,) = parts(seed);
        fill.signature = abi.encodePacked(r, bytes32(0), v);
        assertBadSignature(fill);
    }

    /// @notice P-25: v before r and s is refused.
    function testVFirst(uint256 seed) external {
        (Fill memory fill, uint8 v, bytes32 r, bytes32 s) = parts(seed);
        fill.signature = abi.encodePacked(v, r, s);
        assertBadSignature(fill);
    }

    /// @notice P-25: one flipped bit is refused.
    function testOneFlippedBit(uint256 seed) external {
        (Fill memory fill,,,) = parts(seed);
        uint256 bit = draw(0, 64 * 8 - 1);
        fill.signature[bit / 8] ^= bytes1(uint8(1 << bit % 8));
        assertBadSignature(fill);
    }

    /// @notice P-25: a signature with 65 bytes of noise is refused.
    function testNoise(uint256 seed) external {
        (Fill memory fill,,,) = parts(seed);
        fill.signature = abi.encodePacked(draw(0, type(uint256).max), draw(0, CURVE_ORDER / 2), uint8(draw(27, 28)));
        assertBadSignature(fill);
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- delegates

    /// @notice I-7: a delegate whose budget is at least one unit short of T at maxPrice and the tip is refused.
    function testDelegateOverBudget(uint256 seed) external {
        Fill memory fill = aFillOfTheDelegate(seed);
        uint256 charge = chargeOf(fill.order);
        authorize(fill.order.client, uint128(draw(1, charge - 1)), type(uint40).max);
        assertFillRefused(fill, Refusal.OverBudget);
    }

    /// @notice I-7: what an order was charged is gone from the budget for every other one, even if it was declined.
    function testDelegateThatSpentItsBudget(uint256 seed) external {
        Fill memory fill = aFillOfTheDelegate(seed);
        uint256 charge = chargeOf(fill.order);
        authorize(fill.order.client, uint128(2 * charge - draw(1, charge)), type(uint40).max);
        declined(fill);
        fill.order.salt ^= uint256(1) << draw(0, 255);
        assertFillRefused(signed(fill), Refusal.OverBudget);
    }

    /// @notice P-20: a charged order is refused when its delegate was cleared.
    function testChargedOrderOfAClearedDelegate(uint256 seed) external {
        Fill memory fill = aFillOfTheDelegate(seed);
        declined(fill);
        authorize(fill.order.client, chance() ? 0 : uint128(drawWide(0, 128)), 0);
        assertBadSignature(fill);
    }

    /// @notice I-7: a charged order is refused when its delegate's time is over.
    function testChargedOrderOfADelegateWhoseTimeIsOver(uint256 seed) external {
        Fill memory fill = aFillOfTheDelegate(seed);
        declined(fill);
        authorize(fill.order.client, type(uint128).max, uint40(draw(1, timestamp())));
        assertBadSignature(fill);
    }

    /// @notice P-20: a charged order is refused with a signature of anybody who is no delegate.
    function testChargedOrderSignedByAStranger(uint256 seed) external {
        Fill memory fill = aFillOfTheDelegate(seed);
        declined(fill);
        orderKey = STRANGER_KEY;
        assertBadSignature(signed(fill));
    }

    /// @notice I-7: a delegate whose time is over is nobody.
    function testDelegateWhoseTimeIsOver(uint256 seed) external {
        Fill memory fill = aFillOfTheDelegate(seed);
        authorize(fill.order.client, type(uint128).max, uint40(draw(1, timestamp())));
        assertBadSignature(fill);
    }

    /// @notice I-7: a delegate whose budget was set to 0 is nobody.
    function testDelegateWithClearedBudget(uint256 seed) external {
        Fill memory fill = aFillOfTheDelegate(seed);
        authorize(fill.order.client, 0, uint40(drawWide(0, 40)));
        assertBadSignature(fill);
    }

    /// @notice I-7: a delegate whose time was set to 0 is nobody.
    function testDelegateWithClearedTime(uint256 seed) external {
        Fill memory fill = aFillOfTheDelegate(seed);
        authorize(fill.order.client, uint128(drawWide(0, 128)), 0);
        assertBadSignature(fill);
    }

    /// @notice I-7: another account's delegate is nobody.
    function testDelegateOfAnotherAccount(uint256 seed) external {
        Fill memory fill = aFillOfTheDelegate(seed);
        fill.order.client = acceptorWallet;
        assertBadSignature(signed(fill));
    }

    /// @notice I-7: a delegate's delegate is nobody.
    function testDelegateOfTheDelegate(uint256 seed) external {
        Fill memory fill = aFillOfTheDelegate(seed);
        vm.prank(delegate);
        market.authorize(stranger, type(uint128).max, type(uint40).max);
        orderKey = STRANGER_KEY;
        assertBadSignature(signed(fill));
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ EIP-1271

    /// @notice P-25: a wallet that refuses did not sign.
    function testWalletThatRefuses(uint256 seed) external {
        assertNotSignedBy(seed, address(new AnsweringWallet(abi.encode(bytes4(0xffffffff)))));
    }

    /// @notice P-25: any other answer of 32 bytes is a refusal, also one that only begins with the magic value.
    function testWalletThatAnswersJunk(uint256 seed) external {
        bytes32 magic = bytes32(bytes4(0x1626ba7e));
        bytes32 junk = chance() ? keccak256(abi.encode(seed)) : magic | bytes32(uint256(1) << seed % 224);
        assertNotSignedBy(seed, address(new AnsweringWallet(abi.encode(junk))));
    }

    /// @notice P-25: a boolean yes is a refusal.
    function testWalletThatAnswersTrue(uint256 seed) external {
        assertNotSignedBy(seed, address(new AnsweringWallet(abi.encode(true))));
    }

    /// @notice P-25: the magic value on the right of the word is a refusal.
    function testWalletThatAnswersOnTheWrongSide(uint256 seed) external {
        assertNotSignedBy(seed, address(new AnsweringWallet(abi.encode(uint256(0x1626ba7e)))));
    }

    /// @notice P-25: fewer than 32 bytes are a refusal.
    function testWalletThatAnswersTooLittle(uint256 seed) external {
        bytes memory answer = new bytes(seed % 32);
        for (uint256 i = 0; i < answer.length && i < 4; ++i) {
            answer[i] = bytes4(0x1626ba7e)[i];
        }
        assertNotSignedBy(seed, address(new AnsweringWallet(answer)));
    }

    /// @notice P-25: a wallet that reverts, with however many bytes, did not sign.
    function testWalletThatReverts(uint256 seed) external {
        assertNotSignedBy(seed, address(new RevertingWallet(seed % 5_000)));
    }

    /// @notice P-25: a wallet that burns its gas did not sign.
    function testWalletThatBurnsItsGas(uint256 seed) external {
        assertNotSignedBy(seed, address(new BurningWallet()));
    }

    /// @notice P-25: a wallet whose answer is longer than its gas can pay for did not sign.
    function testWalletThatDropsABomb(uint256 seed) external {
        assertNotSignedBy(seed, address(new BombWallet(1_000_000 + seed % 1_000_000)));
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ drawing

    IComputeMarket private elsewhere;

    function setUp() public override {
        super.setUp();
        elsewhere = deployMarket(address(dollar));
    }

    function assertBadSignature(Fill memory fill) private {
        assertFillRefused(fill, Refusal.BadSignature);
    }

    /// The same order, of a wallet that is as rich, but awkward.
    function assertNotSignedBy(uint256 seed, address wallet) private {
        Fill memory fill = aValidFill(seed);
        deposit(wallet, RICH);
        fill.order.client = wallet;
        orderKey = CLIENT_KEY;
        assertBadSignature(signed(fill));
    }

    function aFillOfTheDelegate(uint256 seed) private returns (Fill memory fill) {
        fill = aValidFill(seed);
        orderKey = DELEGATE_KEY;
        if (fill.order.maxPrice < 3600) fill.order.maxPrice += 3600;
        fill = signed(fill);
        assertHolds(fill);
    }

    /// The fill opens, and a second after its provider has declined it, it could open again.
    function declined(Fill memory fill) private {
        opened(fill);
        vm.prank(market.offerOf(offer).provider);
        market.decline(fill.order);
        vm.warp(NOW + 1);
        assertHolds(fill);
    }

    function authorize(address account, uint128 budget, uint40 until) private {
        vm.prank(account);
        market.authorize(delegate, budget, until);
    }

    function chargeOf(Order memory order) private pure returns (uint256) {
        return (uint256(order.maxPrice) * order.gpus * order.maxSeconds + 3599) / 3600 + order.tip;
    }

    function parts(uint256 seed) private returns (Fill memory fill, uint8 v, bytes32 r, bytes32 s) {
        fill = aFillOfTheClient(seed);
        (v, r, s) = vm.sign(CLIENT_KEY, market.orderId(fill.order));
    }
}
