// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {
    Fill,
    IComputeMarket,
    Order,
    Refusal,
    Settlement,
    Status
} from "../../../contracts/interfaces/IComputeMarket.sol";
import {
    AnsweringWallet,
    BombWallet,
    BurningWallet,
    EndlessWallet,
    FickleWallet,
    HungryWallet,
    RevertingWallet,
    SlowWallet
} from "../wallets/AwkwardWallets.sol";
import {KeyWallet} from "../wallets/KeyWallet.sol";
import {AttackTest} from "./AttackTest.sol";

/// @notice A7: malicious EIP-1271 wallets, as clients, acceptors and providers. They can refuse for themselves; they can do nothing to others.
contract WalletsAttack is AttackTest {
    uint256 private constant WALLET_GAS = 100_000;

    // ------------------------------------------------------------------------------------------------------------- one bad wallet among ten items

    /// @notice A7: a wallet that reverts is refused, and the four other fills of its batch open.
    function testA07RevertingClient() external {
        assertOnlyItIsRefused(address(new RevertingWallet(0)));
    }

    /// @notice A7: a wallet that reverts with a megabyte is refused, and the four other fills of its batch open.
    function testA07ClientRevertingWithAMegabyte() external {
        assertOnlyItIsRefused(address(new RevertingWallet(1_000_000)));
    }

    /// @notice A7: a wallet that burns its gas is refused, and the four other fills of its batch open.
    function testA07BurningClient() external {
        assertOnlyItIsRefused(address(new BurningWallet()));
    }

    /// @notice A7: a wallet that never ends is refused, and the four other fills of its batch open.
    function testA07EndlessClient() external {
        assertOnlyItIsRefused(address(new EndlessWallet()));
    }

    /// @notice A7, A20: a wallet that answers with a megabyte is refused, and the four other fills of its batch open.
    function testA07ClientAnsweringWithAMegabyte() external {
        assertOnlyItIsRefused(address(new BombWallet(1_000_000)));
    }

    /// @notice A7: a wallet that answers junk is refused, and the four other fills of its batch open.
    function testA07JunkClient() external {
        assertOnlyItIsRefused(address(new AnsweringWallet(abi.encode(keccak256("junk")))));
    }

    /// @notice A7: a wallet that answers with too little is refused, and the four other fills of its batch open.
    function testA07TerseClient() external {
        assertOnlyItIsRefused(address(new AnsweringWallet(hex"1626ba7e")));
    }

    /// @notice A7: a wallet that spends nearly all that is granted, and then agrees, is heard.
    function testA07SlowClient() external {
        Fill memory fill = aFillOf(address(new SlowWallet(WALLET_GAS - 5_000)), 1);
        open(fill);

        assertStatus(fill.order, Status.Open, "open");
    }

    /// @notice A7: a long answer that begins with the magic word is heard, and costs the market no more than a word.
    function testA07LongAnswer() external {
        Fill memory fill = aFillOf(address(new BombWallet(10_000)), 1);
        open(fill);

        assertStatus(fill.order, Status.Open, "open");
    }

    // ------------------------------------------------------------------------------------------------------------------------- changing its mind

    /// @notice A7: a client's wallet that agreed to an order and then to nothing any more cannot keep the provider from being paid.
    function testA07ClientThatChangesItsMind() external {
        FickleWallet wallet = new FickleWallet();
        Fill memory fill = aFillOf(address(wallet), 1);
        open(fill);
        wallet.setAgrees(false);
        skip(600);
        claim(fill.order, 600);
        skip(CHALLENGE_WINDOW);
        finalize(fill.order);

        vm.assertEq(market.balanceOf(provider), 1_000 * DOLLAR + earned(fill.order, 600), "the provider is paid");
    }

    /// @notice A7: a wallet that refused once may agree later: a refusal spends nothing.
    function testA07ClientThatAgreesLater() external {
        FickleWallet wallet = new FickleWallet();
        Fill memory fill = aFillOf(address(wallet), 1);
        wallet.setAgrees(false);
        assertRefused(fill, Refusal.BadSignature);
        wallet.setAgrees(true);
        open(fill);

        assertStatus(fill.order, Status.Open, "open");
    }

    /// @notice A7: a wallet that agrees to everything agrees for itself: it cannot spend another's balance.
    function testA07AgreeableWalletSpendsItsOwnOnly() external {
        FickleWallet wallet = new FickleWallet();
        Order memory order = anOrder(1);
        order.acceptor = address(wallet);
        Fill memory fill = aFill(order);
        fill.signature = "";

        assertRefused(fill, Refusal.BadSignature);
    }

    /// @notice A7: a provider's wallet that takes its agreement back leaves the lease to the exits that need no agreement.
    function testA07ProviderThatChangesItsMind() external {
        (FickleWallet wallet, Order memory order) = servedBy();
        wallet.setAgrees(false);
        skip(600);
        Settlement memory settlement = aSettlement(order, 600, true);
        assertSettlementRefused(settlement, Refusal.BadProviderSignature);

        terminate(order);
        vm.assertEq(market.balanceOf(address(wallet)), 100 * DOLLAR + earned(order, 600), "paid all the same");
    }

    /// @notice A7: a provider's wallet that agrees to everything cannot close a lease without the client's side.
    function testA07AgreeableProviderNeedsTheClient() external {
        (, Order memory order) = servedBy();
        skip(600);
        Settlement memory settlement = aSettlement(order, 600, true);
        settlement.clientSignature = settlement.providerSignature = sign(PROVIDER_KEY, "anything");

        assertSettlementRefused(settlement, Refusal.BadClientSignature);
    }

    /// @notice A7: an acceptor that burns its gas does not keep the client from settling.
    function testA07BurningAcceptor() external {
        assertClientSettlesBeside(address(new BurningWallet()));
    }

    /// @notice A7: an acceptor that answers with a megabyte does not keep the client from settling.
    function testA07AcceptorAnsweringWithAMegabyte() external {
        assertClientSettlesBeside(address(new BombWallet(1_000_000)));
    }

    /// @notice A7: an acceptor without code or key does not keep the client from settling.
    function testA07AcceptorThatIsNobody() external {
        assertClientSettlesBeside(address(0xDEAD));
    }

    /// @notice A7: a wallet that lost its code keeps its balance's leases going: both exits that need no signature pay.
    function testA07ClientThatDied() external {
        KeyWallet wallet = new KeyWallet(client);
        Fill memory fill = aFillOf(address(wallet), 1);
        fill.signature = sign(CLIENT_KEY, market.orderId(fill.order));
        open(fill);
        vm.etch(address(wallet), "");
        skip(600);
        assertSettlementRefused(aSettlement(fill.order, 600, true), Refusal.BadClientSignature);

        claim(fill.order, 600);
        skip(CHALLENGE_WINDOW);
        finalize(fill.order);
        vm.assertEq(
            market.balanceOf(address(wallet)), 100 * DOLLAR - TIP - earned(fill.order, 600), "the rest is the wallet's"
        );
    }

    // ----------------------------------------------------------------------------------------------------------------------------------- starving

    /// @notice A7, P-25: with whatever gas a batch is posted, a fill of a wallet that needs what it is granted is opened or the whole reverts:
    /// it is never refused.
    function testA07NoAmountOfGasStarvesAFill() external {
        Fill memory fill = aFillOf(address(new HungryWallet(WALLET_GAS - 1_000)), 1);
        assertNeverStarved(abi.encodeCall(market.open, (batch(fill), ROUND)), fill.order, 90_000, 1_000);
    }

    /// @notice A7, P-25: the same with a signature so long that to copy it costs more than the call.
    function testA07NoAmountOfGasStarvesALongSignature() external {
        Fill memory fill = aFillOf(address(new HungryWallet(WALLET_GAS - 1_000)), 1);
        fill.signature = new bytes(60_000);
        assertNeverStarved(abi.encodeCall(market.open, (batch(fill), ROUND)), fill.order, 120_000, 1_000);
    }

    /// @notice A7, P-25: nor a receipt of a wallet.
    function testA07NoAmountOfGasStarvesAReceipt() external {
        Fill memory fill = aFillOf(address(new HungryWallet(WALLET_GAS - 1_000)), 1);
        open(fill);
        skip(600);
        Settlement[] memory settlements = new Settlement[](1);
        settlements[0] = aSettlement(fill.order, 600, true);
        settlements[0].clientSignature = "";
        bytes memory call = abi.encodeCall(market.settle, (settlements));
        for (uint256 gas_ = 90_000; gas_ < 260_000; gas_ += 1_000) {
            uint256 state = vm.snapshotState();
            (bool done,) = address(market).call{gas: gas_}(call);
            vm.assertTrue(!done || statusOf(fill.order) == Status.Closed, "settled or reverted");
            vm.revertToState(state);
        }
        settle(settlements[0]);
        assertStatus(fill.order, Status.Closed, "settled with enough gas");
    }

    /// @notice A7, P-25: too little gas is said as such, with what is needed.
    function testA07TooLittleGasIsSaid() external {
        Fill memory fill = aFillOf(address(new FickleWallet()), 1);
        vm.prank(opener);
        (bool done, bytes memory answer) =
            address(market).call{gas: 100_000}(abi.encodeCall(market.open, (batch(fill), ROUND)));

        vm.assertFalse(done, "reverted");
        vm.assertEq(bytes32(bytes4(answer)), bytes32(IComputeMarket.GasTooLow.selector), "GasTooLow");
    }

    /// @notice A7, A11: a hundred wallets that burn all they get cost a batch their hundred caps, and do not break it.
    function testA07AHundredBurningWallets() external {
        address wallet = address(new BurningWallet());
        deposit(wallet, 10_000 * DOLLAR);
        Fill[] memory fills = new Fill[](101);
        for (uint256 i = 0; i < 100; ++i) {
            fills[i] = Fill(orderOf(wallet, i), offer, PRICE, "");
        }
        fills[100] = aFill(anOrder(100));
        vm.prank(opener);
        uint256 before = gasleft();
        market.open(fills, ROUND);

        vm.assertTrue(before - gasleft() < 101 * (WALLET_GAS + 40_000), "no more than their caps");
        assertStatus(fills[100].order, Status.Open, "the last one opens");
    }

    // ------------------------------------------------------------------------------------------------------------------------------------ making

    function orderOf(address wallet, uint256 salt) private view returns (Order memory order) {
        order = anOrder(salt);
        (order.client, order.gpus) = (wallet, 1);
    }

    function aFillOf(address wallet, uint256 salt) private returns (Fill memory) {
        deposit(wallet, 100 * DOLLAR);
        return Fill(orderOf(wallet, salt), offer, PRICE, hex"00");
    }

    function batch(Fill memory fill) private pure returns (Fill[] memory fills) {
        fills = new Fill[](1);
        fills[0] = fill;
    }

    /// A lease of the client on an offer of a wallet that agrees.
    function servedBy() private returns (FickleWallet wallet, Order memory order) {
        wallet = new FickleWallet();
        deposit(address(wallet), 100 * DOLLAR);
        offer = list(address(wallet));
        order = serve(aFreeOrder(1));
    }

    function assertOnlyItIsRefused(address wallet) private {
        for (uint256 place = 0; place < 5; ++place) {
            uint256 state = vm.snapshotState();
            Fill[] memory fills = new Fill[](5);
            for (uint256 i = 0; i < fills.length; ++i) {
                Order memory order = anOrder(i);
                order.gpus = 1;
                fills[i] = i == place ? aFillOf(wallet, i) : aFill(order);
            }
            vm.prank(opener);
            market.open(fills, ROUND);
            for (uint256 i = 0; i < fills.length; ++i) {
                assertStatus(fills[i].order, i == place ? Status.None : Status.Open, "all but the wallet's");
            }
            vm.assertEq(market.balanceOf(wallet), 100 * DOLLAR, "and it paid nothing");
            vm.revertToState(state);
        }
    }

    function assertClientSettlesBeside(address wallet) private {
        Order memory order = aFreeOrder(1);
        order.acceptor = wallet;
        serve(order);
        skip(600);
        settle(aSettlement(order, 600, true));

        assertStatus(order, Status.Closed, "settled");
    }

    function assertNeverStarved(bytes memory call, Order memory order, uint256 from, uint256 step) private {
        uint256 opened;
        for (uint256 gas_ = from; gas_ < from + 250 * step; gas_ += step) {
            uint256 state = vm.snapshotState();
            vm.prank(opener);
            (bool done,) = address(market).call{gas: gas_}(call);
            vm.assertTrue(!done || statusOf(order) == Status.Open, "opened or reverted");
            if (done) ++opened;
            vm.revertToState(state);
        }
        vm.assertTrue(opened != 0 && opened != 250, "both happened");
    }
}
