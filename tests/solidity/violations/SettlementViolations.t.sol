// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    Fill,
    IComputeMarket,
    Order,
    Receipt,
    Refusal,
    Settlement,
    Status
} from "../../../contracts/interfaces/IComputeMarket.sol";
import {AnsweringWallet, BombWallet, BurningWallet, RevertingWallet} from "../wallets/AwkwardWallets.sol";
import {ViolationsTest} from "./ViolationsTest.sol";

/// @notice P-25, I-5, I-9: a valid settlement or finalization of which one thing is broken.
/// forge-config: default.fuzz.runs = 100
/// forge-config: deep.fuzz.runs = 1000
contract SettlementViolationsTest is ViolationsTest {
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    IComputeMarket private elsewhere;

    function setUp() public override {
        super.setUp();
        elsewhere = deployMarket(address(dollar));
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- seconds

    /// @notice I-4: more seconds than have elapsed, or were guaranteed, are refused, although both signed.
    function testSecondsAboveTheMost(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        settlement.usedSeconds = uint32(draw(mostOf(settlement.order) + 1, type(uint32).max));

        assertRefused(signed(settlement), Refusal.SecondsOutOfBounds);
    }

    /// @notice I-5: a closing receipt below what was paid is refused, although both signed.
    function testLastSecondsBelowThePaid(uint256 seed) external {
        Settlement memory settlement = aPaidSettlement(seed, true);
        settlement.usedSeconds = uint32(draw(0, leaseOf(settlement.order).paidSeconds - 1));

        assertRefused(signed(settlement), Refusal.SecondsOutOfBounds);
    }

    /// @notice I-5: a progress receipt below what was paid is refused.
    function testProgressBelowThePaid(uint256 seed) external {
        Settlement memory settlement = aPaidSettlement(seed, false);
        settlement.usedSeconds = uint32(draw(0, leaseOf(settlement.order).paidSeconds - 1));

        assertRefused(signed(settlement), Refusal.SecondsOutOfBounds);
    }

    /// @notice I-5: a progress receipt of exactly what was paid is refused.
    function testProgressNotStrictlyMore(uint256 seed) external {
        Settlement memory settlement = aPaidSettlement(seed, false);
        settlement.usedSeconds = leaseOf(settlement.order).paidSeconds;

        assertRefused(signed(settlement), Refusal.SecondsOutOfBounds);
    }

    /// @notice I-5: a receipt that was settled is not settled again.
    function testReplayOfAProgressReceipt(uint256 seed) external {
        Settlement memory settlement = aSettlementThatHolds(seed, false);
        settle(settlement);

        assertRefused(settlement, Refusal.SecondsOutOfBounds);
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ states

    /// @notice I-5: a receipt of an order that was never opened is refused.
    function testNeverOpened(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        settlement.order.salt ^= draw(1, type(uint256).max);

        assertRefused(signed(settlement), Refusal.NotLive);
    }

    /// @notice I-5: the order is part of the lease's identity: with any other term there is no such lease.
    function testAnotherOrder(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        settlement.order.maxSeconds += uint32(draw(1, 1e6));

        assertRefused(settlement, Refusal.NotLive);
    }

    /// @notice I-5: a receipt of a cancelled order is refused.
    function testCancelledBeforeItWasOpened(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        settlement.order.salt ^= draw(1, type(uint256).max);
        vm.prank(settlement.order.client);
        market.cancel(settlement.order);

        assertRefused(signed(settlement), Refusal.NotLive);
    }

    /// @notice I-5: a receipt of a declined lease is refused.
    function testDeclined(uint256 seed) external {
        (Settlement memory settlement,) = anEarlySettlement(seed);
        decline(settlement.order);

        assertRefused(settlement, Refusal.NotLive);
    }

    /// @notice I-5: a lease that a receipt closed takes no other.
    function testClosedByAReceipt(uint256 seed) external {
        Settlement memory settlement = aSettlementThatHolds(seed, true);
        settle(settlement);

        assertRefused(settlement, Refusal.NotLive);
    }

    /// @notice I-5: a terminated lease takes no receipt.
    function testClosedByTerminate(uint256 seed) external {
        assertClosedFor(seed, 0);
    }

    /// @notice I-5: an expired lease takes no receipt.
    function testClosedByExpire(uint256 seed) external {
        assertClosedFor(seed, 1);
    }

    /// @notice I-5: a finalized lease takes no receipt.
    function testClosedByFinalize(uint256 seed) external {
        assertClosedFor(seed, 2);
    }

    /// @notice I-5: a lease that was ruled on takes no receipt.
    function testClosedByRule(uint256 seed) external {
        assertClosedFor(seed, 3);
    }

    /// @notice I-5: a lease whose dispute lapsed takes no receipt.
    function testClosedByLapse(uint256 seed) external {
        assertClosedFor(seed, 4);
    }

    // ----------------------------------------------------------------------------------------------------------------------------- what was signed

    /// @notice P-25: the seconds are signed.
    function testSecondsChangedAfterSigning(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        uint32 paid = leaseOf(settlement.order).paidSeconds;
        uint32 other = uint32(draw(uint256(paid) + 1, mostOf(settlement.order)));
        if (other == settlement.usedSeconds) other = other > paid + 1 ? other - 1 : other + 1;
        settlement.usedSeconds = other;

        assertUnsigned(settlement);
    }

    /// @notice P-25: the result is signed.
    function testResultChangedAfterSigning(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        settlement.result ^= bytes32(draw(1, type(uint256).max));

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice P-25: a progress receipt does not close a lease.
    function testProgressPresentedAsTheLast(uint256 seed) external {
        Settlement memory settlement = aSettlementThatHolds(seed, false);
        settlement.last = true;
        settlement.providerSignature = sign(PROVIDER_KEY, digestOf(settlement, true));

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice P-25: a closing receipt does not pay without closing.
    function testLastPresentedAsProgress(uint256 seed) external {
        Settlement memory settlement = aSettlementThatHolds(seed, true);
        uint32 paid = leaseOf(settlement.order).paidSeconds;
        settlement.usedSeconds = uint32(draw(uint256(paid) + 1, mostOf(settlement.order)));
        settlement = signed(settlement);
        settlement.last = false;

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice P-25: a receipt that names another lease of the same two parties is refused.
    function testReceiptOfAnotherLease(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        Receipt memory receipt = receiptFor(settlement);
        receipt.lease = keccak256(abi.encode(seed));

        assertRefused(signedAs(settlement, receipt), Refusal.BadClientSignature);
    }

    /// @notice P-25: a receipt that names another offer is refused.
    function testReceiptOfAnotherOffer(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        Receipt memory receipt = receiptFor(settlement);
        receipt.offer = uint40(draw(0, offer - 1));

        assertRefused(signedAs(settlement, receipt), Refusal.BadClientSignature);
    }

    /// @notice P-25: a receipt that names another second of opening is refused.
    function testReceiptOfAnotherOpening(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        Receipt memory receipt = receiptFor(settlement);
        receipt.openedAt = uint40(draw(0, NOW - 1));

        assertRefused(signedAs(settlement, receipt), Refusal.BadClientSignature);
    }

    /// @notice P-25: a receipt of an earlier serving, which was declined, is refused in the next.
    function testReceiptOfAnotherServing(uint256 seed) external {
        (Settlement memory settlement, uint256 seconds_) = anEarlySettlement(seed);
        decline(settlement.order);
        skip(draw(1, 100));
        openAs(settlement.order.client, fillFor(settlement.order));
        skip(seconds_);

        assertRefused(settlement, Refusal.BadClientSignature);
        assertHolds(signed(settlement));
    }

    /// @notice P-25: a receipt that was signed for another market is refused.
    function testReceiptOfAnotherMarket(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        Receipt memory receipt = receiptFor(settlement);
        (IComputeMarket here, IComputeMarket other) = (market, elsewhere);
        market = other;
        settlement = signedAs(settlement, receipt);
        market = here;

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice P-25: on a chain with another id there is no such lease.
    function testReceiptOfAnotherChain(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        vm.chainId(draw(1, type(uint64).max - 1));

        assertRefused(settlement, Refusal.NotLive);
    }

    /// @notice P-25: the client's signature of the order is no receipt.
    function testOrderSignedInstead(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        settlement.clientSignature = sign(CLIENT_KEY, market.orderId(settlement.order));

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    // ------------------------------------------------------------------------------------------------------------------------------- who signed it

    /// @notice P-25: the provider does not sign for the client.
    function testClientsSignatureByTheProvider(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        settlement.clientSignature = sign(PROVIDER_KEY, digestOf(settlement, settlement.last));

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice P-25: neither do a stranger, the opener, the arbiter or the client's own delegate.
    function testClientsSignatureBySomebodyElse(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        uint256[4] memory keys = [STRANGER_KEY, 0x09E2, 0xA2B1, DELEGATE_KEY];
        settlement.clientSignature = sign(keys[draw(0, 3)], digestOf(settlement, settlement.last));

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice P-25: the acceptor of another order does not sign for this one.
    function testClientsSignatureByNoAcceptor(uint256 seed) external {
        Settlement memory settlement = drawnWithoutAcceptor(seed);
        settlement.clientSignature = sign(ACCEPTOR_KEY, digestOf(settlement, settlement.last));

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice P-25: an absent acceptor is nobody, and what recovers to nobody does not sign for it.
    function testClientsSignatureByNobody(uint256 seed) external {
        Settlement memory settlement = drawnWithoutAcceptor(seed);
        settlement.clientSignature = abi.encodePacked(draw(0, CURVE_ORDER), draw(0, CURVE_ORDER / 2), uint8(0));

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice P-25: swapped signatures are refused.
    function testSwappedSignatures(uint256 seed) external {
        Settlement memory settlement = aSettlementThatHolds(seed, true);
        (settlement.clientSignature, settlement.providerSignature) =
        (settlement.providerSignature, settlement.clientSignature);

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice P-25: a stranger brings no closing receipt without the provider's signature.
    function testProvidersSignatureMissing(uint256 seed) external {
        Settlement memory settlement = aSettlementThatHolds(seed, true);
        settlement.providerSignature = "";

        assertRefused(settlement, Refusal.BadProviderSignature);
    }

    /// @notice P-25: nor does the client itself.
    function testProvidersSignatureMissingForTheClient(uint256 seed) external {
        Settlement memory settlement = aSettlementThatHolds(seed, true);
        (settlement.clientSignature, settlement.providerSignature) = (bytes(""), bytes(""));
        sender = settlement.order.client;

        assertRefused(settlement, Refusal.BadProviderSignature);
    }

    /// @notice P-25: the client does not sign for the provider.
    function testProvidersSignatureByTheClient(uint256 seed) external {
        Settlement memory settlement = aSettlementThatHolds(seed, true);
        settlement.providerSignature = sign(receiptKey, digestOf(settlement, true));

        assertRefused(settlement, Refusal.BadProviderSignature);
    }

    /// @notice P-25: neither do a stranger, the arbiter or the provider of another offer.
    function testProvidersSignatureBySomebodyElse(uint256 seed) external {
        Settlement memory settlement = aSettlementThatHolds(seed, true);
        uint256[3] memory keys = [STRANGER_KEY, 0xA2B1, 0x09E2];
        settlement.providerSignature = sign(keys[draw(0, 2)], digestOf(settlement, true));

        assertRefused(settlement, Refusal.BadProviderSignature);
    }

    /// @notice P-25: the payee of an assigned lease does not sign for the provider.
    function testProvidersSignatureByThePayee(uint256 seed) external {
        Settlement memory settlement = aSettlementThatHolds(seed, true);
        vm.prank(market.payeeOf(market.orderId(settlement.order)));
        market.assign(settlement.order, stranger);
        settlement.providerSignature = sign(STRANGER_KEY, digestOf(settlement, true));

        assertRefused(settlement, Refusal.BadProviderSignature);
    }

    /// @notice P-25: a provider does not bring a receipt without the client's signature.
    function testClientsSignatureMissingForTheProvider(uint256 seed) external {
        Settlement memory settlement = aValidSettlement(seed);
        settlement.clientSignature = "";
        sender = market.payeeOf(market.orderId(settlement.order));

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    // ---------------------------------------------------------------------------------------------------------------------------------- malformed

    /// @notice P-25: a high s is refused on both sides.
    function testHighS(uint256 seed) external {
        assertMalformed(seed, 0);
    }

    /// @notice P-25: 64 bytes (EIP-2098) are refused on both sides.
    function testCompactSignature(uint256 seed) external {
        assertMalformed(seed, 1);
    }

    /// @notice P-25: trailing bytes are refused on both sides.
    function testTrailingBytes(uint256 seed) external {
        assertMalformed(seed, 2);
    }

    /// @notice P-25: an empty signature is refused on both sides.
    function testEmptySignature(uint256 seed) external {
        assertMalformed(seed, 3);
    }

    /// @notice P-25: a v of 0 or 1 is refused on both sides.
    function testVOfZeroOrOne(uint256 seed) external {
        assertMalformed(seed, 4);
    }

    /// @notice P-25: the other v is refused on both sides.
    function testOtherV(uint256 seed) external {
        assertMalformed(seed, 5);
    }

    /// @notice P-25: an r of 0 is refused on both sides.
    function testZeroR(uint256 seed) external {
        assertMalformed(seed, 6);
    }

    /// @notice P-25: an s of 0 is refused on both sides.
    function testZeroS(uint256 seed) external {
        assertMalformed(seed, 7);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- EIP-1271

    /// @notice P-25: a client's wallet that refuses, burns, reverts or drops a bomb did not sign a receipt.
    function testClientsWalletThatDoesNotSign(uint256 seed) external {
        Settlement memory settlement = drawnWithoutAcceptor(seed);
        becomeAwkward(settlement.order.client, seed);

        settlement.clientSignature = hex"1234";

        assertRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice P-25: a provider's wallet that refuses, burns, reverts or drops a bomb did not sign a receipt.
    function testProvidersWalletThatDoesNotSign(uint256 seed) external {
        Settlement memory settlement = aSettlementThatHolds(seed, true);
        becomeAwkward(market.offerOf(offer).provider, seed);
        settlement.providerSignature = hex"1234";

        assertRefused(settlement, Refusal.BadProviderSignature);
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- finalize

    /// @notice I-9: an open lease is not finalized.
    function testFinalizeOpen(uint256 seed) external {
        Order memory order = opened(aValidFill(seed));
        skip(draw(0, 10 * CHALLENGE_WINDOW));

        assertFinalizeRefused(order, Refusal.NotClaimed);
    }

    /// @notice I-9: a disputed lease is not finalized, also if it was claimed before.
    function testFinalizeDisputed(uint256 seed) external {
        Order memory order = aClaimedOrder(seed);
        vm.prank(order.client);
        market.dispute(order);
        skip(draw(0, 10 * CHALLENGE_WINDOW));

        assertFinalizeRefused(order, Refusal.NotClaimed);
    }

    /// @notice I-5: a finalized lease is not finalized again.
    function testFinalizeTwice(uint256 seed) external {
        Order memory order = aClaimedOrder(seed);
        skip(CHALLENGE_WINDOW);
        finalize(order);
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "the claim is finalized");

        assertFinalizeRefused(order, Refusal.NotClaimed);
    }

    /// @notice I-5: with any other term there is no such lease to finalize.
    function testFinalizeAnotherOrder(uint256 seed) external {
        Order memory order = aClaimedOrder(seed);
        skip(CHALLENGE_WINDOW);
        order.gpus ^= 1;

        assertFinalizeRefused(order, Refusal.NotClaimed);
    }

    /// @notice I-9: a claim is not finalized while the client may still object; in the next second it is.
    function testFinalizeInTheWindow(uint256 seed) external {
        Order memory order = aClaimedOrder(seed);
        uint256 end = timestamp() + CHALLENGE_WINDOW;
        skip(chance() ? CHALLENGE_WINDOW - 1 : draw(0, CHALLENGE_WINDOW - 1));

        assertFinalizeRefused(order, Refusal.WindowOpen);
        vm.warp(end);
        finalize(order);
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Closed), "the claim is finalized");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ drawing

    function assertRefused(Settlement memory settlement, Refusal reason) private {
        assertSettlementRefusedFrom(sender, settlement, reason);
    }

    function assertUnsigned(Settlement memory settlement) private {
        assertRefused(settlement, Refusal.BadClientSignature);
    }

    function assertClosedFor(uint256 seed, uint256 how) private {
        (Settlement memory settlement,) = anEarlySettlement(seed);
        close(settlement.order, how);

        assertRefused(settlement, Refusal.NotLive);
    }

    function assertMalformed(uint256 seed, uint256 way) private {
        Settlement memory settlement = aSettlementThatHolds(seed, true);
        bytes memory good = settlement.clientSignature;
        settlement.clientSignature = malformed(good, way);
        assertRefused(settlement, Refusal.BadClientSignature);

        settlement.clientSignature = good;
        settlement.providerSignature = malformed(settlement.providerSignature, way);
        assertRefused(settlement, Refusal.BadProviderSignature);
    }

    function malformed(bytes memory signature, uint256 way) private pure returns (bytes memory) {
        (bytes32 r, bytes32 s) = abi.decode(signature, (bytes32, bytes32));
        uint8 v = uint8(signature[64]);
        uint8 otherV = v == 27 ? 28 : 27;
        if (way == 0) return abi.encodePacked(r, CURVE_ORDER - uint256(s), otherV);
        if (way == 1) return abi.encodePacked(r, uint256(s) | uint256(v - 27) << 255);
        if (way == 2) return abi.encodePacked(signature, uint8(0));
        if (way == 3) return "";
        if (way == 4) return abi.encodePacked(r, s, v - 27);
        if (way == 5) return abi.encodePacked(r, s, otherV);
        if (way == 6) return abi.encodePacked(bytes32(0), s, v);
        return abi.encodePacked(r, bytes32(0), v);
    }

    /// A receipt that pays something on top of something that was paid.
    function aPaidSettlement(uint256 seed, bool last) private returns (Settlement memory settlement) {
        settlement = aSettlementThatHolds(seed, last);
        if (leaseOf(settlement.order).paidSeconds != 0) return settlement;
        uint32 whole = settlement.usedSeconds;
        settlement.usedSeconds = uint32(mostOf(settlement.order) / 2);
        settle(signed(settlement, false));
        settlement.usedSeconds = whole > settlement.usedSeconds ? whole : settlement.usedSeconds + 1;
        settlement = signed(settlement);
        assertHolds(settlement);
    }

    /// A receipt of an order without acceptor, in Open.
    function drawnWithoutAcceptor(uint256 seed) private returns (Settlement memory) {
        Order memory order = aValidFill(seed).order;
        order.acceptor = address(0);
        openAs(order.client, fillFor(order));
        return drawSettlement(order, chance());
    }

    /// A receipt of a lease that was just opened, and can be declined or closed by any exit; and after how many seconds it was made.
    function anEarlySettlement(uint256 seed) private returns (Settlement memory settlement, uint256 seconds_) {
        Order memory order = aValidFill(seed).order;
        order.expiresAt = type(uint40).max;
        openAs(order.client, fillFor(order));
        receiptKey = CLIENT_KEY;
        sender = stranger;
        seconds_ = draw(1, START_GRACE - 1);
        skip(seconds_);
        settlement.order = order;
        settlement.result = RESULT;
        settlement.last = chance();
        settlement.usedSeconds = uint32(draw(1, mostOf(order)));
        settlement = signed(settlement);
        assertHolds(settlement);
    }

    function aClaimedOrder(uint256 seed) private returns (Order memory order) {
        order = opened(aValidFill(seed));
        skip(draw(order.minSeconds, uint256(order.maxSeconds) + CLAIM_GRACE - 1));
        moveOn(order, 1);
        vm.assertEq(uint8(market.statusOf(order)), uint8(Status.Claimed), "claimed");
    }

    function decline(Order memory order) private {
        vm.prank(market.offerOf(offer).provider);
        market.decline(order);
    }

    /// The client's own fill, at the highest price.
    function fillFor(Order memory order) private view returns (Fill memory) {
        return Fill({order: order, offer: offer, price: order.maxPrice, signature: ""});
    }

    /// Puts awkward code where the account is.
    function becomeAwkward(address account, uint256 seed) private {
        address[4] memory wallets = [
            address(new AnsweringWallet("")),
            address(new RevertingWallet(1_000)),
            address(new BurningWallet()),
            address(new BombWallet(1_000_000))
        ];
        vm.etch(account, wallets[seed % 4].code);
    }

    function receiptFor(Settlement memory settlement) private view returns (Receipt memory receipt) {
        receipt = receiptOf(settlement.order, settlement.usedSeconds, settlement.last);
        receipt.result = settlement.result;
    }

    /// Signed by everybody, but as `receipt`.
    function signedAs(Settlement memory settlement, Receipt memory receipt) private view returns (Settlement memory) {
        bytes32 digest = market.receiptId(receipt);
        settlement.clientSignature = sign(receiptKey, digest);
        if (settlement.last) settlement.providerSignature = sign(PROVIDER_KEY, digest);
        return settlement;
    }
}
