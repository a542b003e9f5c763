// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Fill, Order, Refusal, Settlement, Status} from "../../contracts/interfaces/IComputeMarket.sol";
import {LedgerTest} from "./LedgerTest.sol";
import {MarketTest} from "./MarketTest.sol";

/// @notice Any two roles may be one address (P-07): money moves as if they were two.
contract RolesTest is MarketTest {
    /// @notice P-07: a client that is its own provider gets everything back but nothing more, at every exit.
    function testClientThatIsTheProvider(uint8 exit) external {
        offer = list(client);
        Order memory order = anOrder();
        uint256 before = market.balanceOf(client);
        open(order);
        vm.assertEq(before - market.balanceOf(client), total(order) + TIP + bond(order), "both locks and the tip");

        leaveBy(exit, order, client, CLIENT_KEY);

        vm.assertEq(market.balanceOf(client), before - TIP, "all but the tip is back");
        vm.assertEq(market.offerOf(offer).free, GPUS, "all GPUs are free");
    }

    /// @notice P-20: a client that is its own provider needs T + tip + B, not the larger of both.
    function testClientThatIsTheProviderNeedsBothLocks() external {
        offer = list(client);
        Order memory order = anOrder();
        uint256 needed = total(order) + TIP + bond(order);
        uint256 excess = market.balanceOf(client) - needed + 1;
        vm.prank(client);
        market.withdraw(client, excess);
        assertRefused(aFill(order), Refusal.ProviderBalanceTooLow);

        deposit(client, 1);
        open(order);
        vm.assertEq(market.balanceOf(client), 0, "everything is locked");
    }

    /// @notice P-20: the tip does not pay for the opener's own bond: debits come first.
    function testProviderThatIsTheOpenerIsTippedAfterItsBond() external {
        Order memory order = anOrder();
        order.opener = provider;
        uint256 excess = market.balanceOf(provider) - bond(order) + 1;
        vm.prank(provider);
        market.withdraw(provider, excess);
        assertRefusedFrom(provider, aFill(order), Refusal.ProviderBalanceTooLow);

        deposit(provider, 1);
        openAs(provider, aFill(order));
        vm.assertEq(market.balanceOf(provider), TIP, "the tip is all it has");
    }

    /// @notice P-20: the tip does not pay for the opener's own lock either.
    function testClientThatIsTheOpenerNeedsItsTip() external {
        Order memory order = anOrder();
        order.opener = client;
        uint256 excess = market.balanceOf(client) - total(order) - TIP + 1;
        vm.prank(client);
        market.withdraw(client, excess);
        assertRefusedFrom(client, aFill(order), Refusal.ClientBalanceTooLow);

        deposit(client, 1);
        openAs(client, aFill(order));
        vm.assertEq(market.balanceOf(client), TIP, "the tip came back to it");
    }

    /// @notice I-9: a tip that one fill of a batch earned pays for the next, as if they came one by one.
    function testATipPaysForTheNextFillOfTheBatch() external {
        Fill[] memory fills = new Fill[](2);
        for (uint256 i = 0; i < 2; ++i) {
            Order memory order = anOrder();
            order.opener = provider;
            order.gpus = 1;
            order.maxSeconds = 100;
            order.tip = uint96(BOND_FLOOR);
            order.salt = i;
            fills[i] = aFill(order);
        }
        uint256 excess = market.balanceOf(provider) - BOND_FLOOR;
        vm.prank(provider);
        market.withdraw(provider, excess);

        vm.prank(provider);
        market.open(fills, ROUND);

        vm.assertEq(uint8(market.statusOf(fills[0].order)), uint8(Status.Open), "the first opens");
        vm.assertEq(uint8(market.statusOf(fills[1].order)), uint8(Status.Open), "and pays for the second");
        vm.assertEq(market.balanceOf(provider), BOND_FLOOR, "the second tip is free");
    }

    /// @notice P-07: one address in every role moves its own money in circles.
    function testOneAddressInEveryRole(uint8 exit) external {
        offer = list(client);
        Order memory order = anOrder();
        order.opener = client;
        order.acceptor = client;
        uint256 before = market.balanceOf(client);
        openAs(client, aFill(order));
        vm.assertEq(before - market.balanceOf(client), total(order) + bond(order), "the tip stays");

        leaveBy(exit, order, client, CLIENT_KEY);

        vm.assertEq(market.balanceOf(client), before, "everything is back");
    }

    /// @notice P-07: a provider that is the acceptor signs both sides of its receipts, because the client named it.
    function testAcceptorThatIsTheProvider() external {
        Order memory order = anOrder();
        order.acceptor = provider;
        open(order);
        skip(100);
        Settlement memory settlement = aSettlement(order, 100, true);
        settlement.clientSignature = "";
        settlement.providerSignature = "";
        Book memory before = book();

        settleAs(provider, settlement);

        assertExit(
            before, order, total(order) - earned(order, 100), earned(order, 100) + bond(order), earned(order, 100), 100
        );
    }

    /// @notice P-07: an opener that is the acceptor is tipped and may cancel.
    function testOpenerThatIsTheAcceptor() external {
        Order memory order = anOrder();
        order.acceptor = opener;
        open(order);
        vm.assertEq(market.balanceOf(opener), TIP, "tipped");
        skip(10);
        Book memory before = book();

        vm.prank(opener);
        market.terminate(order);

        uint256 paid = earned(order, MIN_SECONDS);
        assertExit(before, order, total(order) - paid, paid + bond(order), paid, MIN_SECONDS);
    }

    /// Takes the lease out by one of the exits that `both`, who is client and provider, can take alone.
    function leaveBy(uint8 exit, Order memory order, address both, uint256 key) private {
        exit = uint8(bound(exit, 0, 4));
        if (exit == 0) {
            vm.prank(both);
            market.decline(order);
        } else if (exit == 1) {
            skip(500);
            vm.prank(both);
            market.terminate(order);
        } else if (exit == 2) {
            skip(MAX_SECONDS + CLAIM_GRACE);
            market.expire(order);
        } else if (exit == 3) {
            skip(500);
            vm.prank(both);
            market.claim(order, 400, RESULT);
            skip(CHALLENGE_WINDOW);
            finalize(order);
        } else {
            skip(500);
            Settlement memory settlement = aSettlement(order, 300, true);
            settlement.providerSignature = sign(key, market.receiptId(receiptOf(order, 300, true)));
            settle(settlement);
        }
    }
}

/// @notice Any roles in any hands: at every exit each address gets what the exit table gives to the roles that it plays (P-07).
contract AnyRolesTest is LedgerTest {
    uint32 internal constant USED = 600;

    address[5] internal hands;
    mapping(address hand => uint256) internal keys;
    address internal payee;
    Order internal order;

    function setUp() public override {
        super.setUp();
        for (uint256 i = 0; i < 5; ++i) {
            hands[i] = [client, provider, acceptor, stranger, lender][i];
            keys[hands[i]] = [CLIENT_KEY, PROVIDER_KEY, ACCEPTOR_KEY, STRANGER_KEY, 0x1E4DE2][i];
            deposit(hands[i], 100 * DOLLAR);
        }
    }

    /// @notice P-07, I-2: six roles are dealt to five hands, and the lease is opened, assigned and ended in one of eight ways.
    function testAnyRolesInAnyHands(uint256 deal, uint8 exit) external {
        take(deal);
        remember();
        Fill memory fill = aFill(order);
        fill.signature = sign(keys[client], market.orderId(order));
        openAs(opener, fill);
        debit(client, total(order) + TIP);
        debit(provider, bond(order));
        credit(opener, TIP);
        assignAs(provider, order, payee);
        assertLedger();

        exit = exit % 8;
        if (exit == 0) decline();
        else if (exit == 1) expire();
        else if (exit < 5) endInAgreement(exit);
        else endInDispute(exit);
    }

    function take(uint256 deal) private {
        client = hands[deal % 5];
        provider = hands[deal / 5 % 5];
        acceptor = hands[deal / 25 % 5];
        opener = hands[deal / 125 % 5];
        payee = hands[deal / 625 % 5];
        arbiter = hands[deal / 3_125 % 5];
        // An offer's provider is not its arbiter.
        if (arbiter == provider) arbiter = hands[(deal / 3_125 + 1) % 5];
        offer = list(provider);
        order = anOrder();
    }

    function decline() private {
        vm.prank(provider);
        market.decline(order);

        credit(client, total(order));
        credit(provider, bond(order));
        assertLedger();
    }

    function expire() private {
        skip(MAX_SECONDS + CLAIM_GRACE);
        market.expire(order);

        credit(client, total(order) + bond(order));
        assertClosed(order, 0, 0);
    }

    /// @notice By a last receipt, by terminating, or by a claim that nobody disputes.
    function endInAgreement(uint8 exit) private {
        skip(USED);
        if (exit == 2) {
            bytes32 digest = market.receiptId(receiptOf(order, USED, true));
            Settlement memory settlement = aSettlement(order, USED, true);
            settlement.clientSignature = sign(keys[client], digest);
            settlement.providerSignature = sign(keys[provider], digest);
            settleAs(opener, settlement);
        } else if (exit == 3) {
            vm.prank(acceptor);
            market.terminate(order);
        } else {
            claim(order, USED);
            skip(CHALLENGE_WINDOW);
            finalize(order);
        }

        credit(payee, earned(order, USED));
        credit(provider, bond(order));
        credit(client, total(order) - earned(order, USED));
        assertClosed(order, 0, USED);
    }

    /// @notice By a ruling against the provider, by one for it, or by none.
    function endInDispute(uint8 exit) private {
        skip(2 * USED);
        disputeAs(acceptor, order);
        debit(acceptor, bond(order));
        if (exit == 7) {
            skip(RULING_WINDOW);
            lapse(order);
            credit(acceptor, bond(order));
            credit(provider, bond(order));
        } else {
            rule(order, USED, exit == 5);
            credit(exit == 5 ? acceptor : provider, 2 * bond(order) - bond(order) / 2);
            credit(arbiter, bond(order) / 2);
        }

        credit(payee, earned(order, USED));
        credit(client, total(order) - earned(order, USED));
        assertClosed(order, 0, USED);
    }
}
