"""`bourse` as a program, against a real gateway and chain: documents, exit codes, plain words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.chain import verbs
from marketplace.chain.checksums import checksum
from marketplace.chain.devnet import ANVIL_KEYS, ANVIL_PRIVATE_KEYS
from marketplace.chain.keystore import create_key
from marketplace.client import Job
from marketplace.client.journal import JobJournal
from marketplace.domain.budgets import NO_BUDGET
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.offers import Offer
from marketplace.domain.reputation import WHOLE, Outcome, Reputation, Standing, Tally
from marketplace.domain.units import UnixTime
from marketplace.store.board_projection import Step
from tests.integration.client.conftest import Desk, Play
from tests.integration.gateway.conftest import CLIENT, OPENER, OTHER_PROVIDER, STRANGER, Gateway
from tests.integration.shell import Shell, logging_as_it_was

__all__ = ["logging_as_it_was"]

ROOT = Path(__file__).parents[3]


def _books(shell: Shell) -> list[Path]:
    return list((shell.folder / "home").rglob("jobs.sqlite"))


def test_a_job_is_submitted_shown_explained_and_cancelled(
    shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer]
) -> None:
    """run --no-wait, ps, share, explain, cancel: each prints one document, and the chain agrees."""
    (shell.folder / "train.py").write_text("print('hello')")
    run = shell.run(
        "run", "--gpu", "RTX4090", "--max-price", "3.00", "--max-time", "10m", "--no-wait", "--json", "--",
        "python", "train.py", "--json",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    job = json.loads(run.stdout)
    assert "sending train.py along" in run.stderr
    assert job["state"] == "submitted"

    (book,) = _books(shell)
    kept = JobJournal(book)
    signed = kept.order(job["id"]).signed
    kept.close()
    gateway.send(OPENER, verbs.open_fills(gateway.book.market, [Fill(signed, offers[0].id, offers[0].price)]))
    (listed,) = shell.answer("ps", "--json")
    assert listed["state"] == "running"
    assert int(listed["locked"]) > 0
    shared = shell.answer("share", "1", "--log", "--for", "10m", "--json")
    assert [gateway.http.get(url).status_code for url in (*shared["urls"], shared["urls"][0].split("?")[0])] == [
        200,
        401,
    ]

    cancelled = shell.answer("cancel", "1", "--json")
    summary = shell.answer("explain", "1", "--json")

    assert cancelled["state"] == summary["state"] == "cancelled"
    assert [event["state"] for event in summary["history"]] == ["submitted", "running", "cancelled"]
    assert summary["attempts"][0]["exit"] == "LeaseTerminated"
    assert summary["isSettled"]
    assert int(summary["paid"]) + int(summary["refunded"]) > 0
    assert shell.answer("ps", "--json") == []
    assert "cancelled" in shell.run("explain", "1").stdout


def test_a_job_of_several_nodes_is_shown_and_cancelled_as_one(shell: Shell, offers: tuple[Offer, Offer]) -> None:
    """run --nodes: one document with a job for each node; cancelling one calls all off."""
    run = ("run", "--gpu", "RTX4090", "--max-price", "3.00", "--max-time", "10m", "--no-wait", "--json")

    made = shell.answer(*run, "--nodes", "2", "--prefer-region", "eu", "--name", "gang", "--", "true")
    shown = shell.run("ps").stdout
    shell.answer("cancel", "1", "--json")
    left = shell.answer("ps", "--all", "--json")

    assert (made["state"], made["failure"]) == ("submitted", "")
    assert [node["group"] for node in made["nodes"]] == [
        {"id": made["group"], "size": 2, "rank": rank} for rank in range(2)
    ]
    assert "gang · node 0 of 2" in shown
    assert [(job["state"], job["reason"]) for job in left] == [
        ("cancelled", "client_cancelled"),
        ("cancelled", "group_broken"),
    ]
    assert left[1]["note"] == "node 0 of 2 was cancelled"
    assert shell.run(*run, "--nodes", "65", "--", "true").returncode == 2


def test_the_wallet_shows_and_moves_money(shell: Shell, gateway: Gateway) -> None:
    """fund, deposit, withdraw: base units beside words."""
    before = gateway.market.balance_of(CLIENT.address)

    shell.answer("wallet", "fund", "3", "--json")
    shell.answer("wallet", "deposit", "2.50", "--json")
    after = shell.answer("wallet", "withdraw", "0.25", "--json")

    assert int(after["free"]) == before + 2_250_000
    assert after["freeHuman"].endswith(" tUSD")
    assert after["account"] == CLIENT.address


def test_a_development_key_gets_coin_with_its_dollars(shell: Shell, gateway: Gateway) -> None:
    """A key that has never had gas can be funded, and then pay for what it does; `bourse market` names whom it may ask to judge."""
    keys = ("--keystore", "fresh.json", "--password-file", "fresh.password")
    shell.answer("wallet", "new", *keys, "--json")
    funded = shell.answer("wallet", "fund", "3", *keys, "--json")
    told = shell.answer("market", "--json")

    assert 0 < int(funded["coinWei"]) < 10 * 10**18
    assert (int(funded["wallet"]), "warning" in funded) == (3_000_000, False)
    assert told["market"] == gateway.book.market
    assert told["arbiter"] != told["opener"]
    assert told["arbiter"] in shell.run("market").stdout.lower()


def test_a_provider_that_is_not_heard_of_is_listed_as_silent(
    shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer]
) -> None:
    """For people and for programs, however many GPUs its offer has free; one that was heard of within twenty seconds is not."""
    now = gateway.now()
    gateway.board.beat(offers[0].provider, UnixTime(now))
    gateway.board.beat(offers[1].provider, UnixTime(now - 25))
    gateway.sync()
    rows = {row["id"]: row for row in shell.answer("offers", "--json")}
    lines = shell.run("offers").stdout.splitlines()

    assert [rows[offer.id]["silent"] for offer in offers] == [False, True]
    assert [any(line.startswith(f"{offer.id} ") and "SILENT" in line for line in lines) for offer in offers] == [
        False,
        True,
    ]


def test_offers_and_quotes_need_no_key(shell: Shell, play: Play, offers: tuple[Offer, Offer]) -> None:
    """Looking costs nothing; offers say that their GPUs are declared and not measured."""
    play.api.heartbeat()
    play.other_api.heartbeat()
    without_key = {name: value for name, value in shell.environment.items() if "KEYSTORE" not in name}
    looker = Shell(shell.folder, without_key)

    rows = looker.answer("offers", "--gpu", "rtx4090", "--json")
    quotes = looker.answer("quote", "--gpu", "RTX4090", "--max-time", "1h", "--max-price", "1.00", "--json")

    assert {row["id"] for row in rows} >= {offer.id for offer in offers}
    assert not any(row["measured"] or row["measurement"] for row in rows)
    assert not any(quote["measured"] for quote in quotes)
    assert {quote["reason"] for quote in quotes} == {"PriceOutOfBounds"}
    table = looker.run("offers").stdout
    assert "declared" in table
    assert "90.00 %" in table
    assert "declared: nobody looked" in looker.run("offer", str(offers[0].id)).stdout
    assert {row["reliabilityBps"] for row in rows} == {9_000}
    strict = looker.answer(
        "quote", "--gpu", "RTX4090", "--max-time", "1h", "--max-price", "3.00", "--min-reliability", "9001", "--json"
    )
    assert {quote["reason"] for quote in strict} == {"ReliabilityTooLow"}


def test_a_reputation_is_shown_and_computed_again(shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer]) -> None:
    """With its evidence, for people and for programs; with --check it is held against the chain's own events, without a key."""
    signed = gateway.leased(offers[1])
    gateway.send(OTHER_PROVIDER, verbs.decline(gateway.book.market, signed.order))
    provider = offers[1].provider
    looker = replace(shell, environment={name: value for name, value in shell.environment.items() if "KEY" not in name})

    told = looker.answer("reputation", provider, "--json", "--check")
    table = looker.run("reputation", provider).stdout

    assert (told["address"], told["isWhatTheChainSays"]) == (provider, True)
    assert told["reputation"]["outcomes"]["declined"] == {
        "count": 1,
        "weight": str(WHOLE // 10),
        "weightHuman": "0.01 tUSD",
    }
    assert told["reputation"]["reliabilityBps"] == 8_995
    assert "89.95 %" in table
    assert "declined" in table
    newcomer = looker.answer("reputation", CLIENT.address, "--json")
    assert (newcomer["reputation"]["reliabilityBps"], newcomer["reputation"]["outcomes"]) == (9_000, {})
    assert newcomer["isWhatTheChainSays"] is None
    assert checksum(CLIENT.address) in looker.run("reputation", CLIENT.address).stdout
    assert "No lease of this provider has ended yet." in looker.run("reputation", CLIENT.address).stdout
    assert looker.answer("reputation", "0x12", "--json", code=2)["error"]["field"] == "ADDRESS"


def test_a_job_may_ask_for_a_reliable_provider(shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer]) -> None:
    """What is asked for on the command line is in the spec that the order names."""
    job = shell.answer(
        "run", "--gpu", "RTX4090", "--max-price", "3.00", "--max-time", "10m", "--min-reliability", "9876", "--no-wait",
        "--json", "--", "true",
    )  # fmt: skip
    spec = gateway.http.get(f"/v1/orders/{job['orders'][0]}").json()["spec"]

    assert gateway.http.get(f"/v1/blobs/{spec}").json()["constraints"]["min_reliability_bps"] == 9_876
    assert shell.run("cancel", str(job["number"])).returncode == 0


def test_a_gateway_that_tells_another_reputation_is_found_out(
    shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer]
) -> None:
    """Its word is shown, and that the chain's events say something else; the exit code is that of what does not verify."""
    made_up = Standing(Reputation(UnixTime(1), {Outcome.SETTLED: Tally(9, WHOLE)}, WHOLE))
    table = gateway.board.projection
    head = table.head()
    assert head is not None
    assert head.cursor is not None
    lie = Step(
        cursor=head.cursor, changed=head.changed, is_ready=True, standings={STRANGER.address: made_up},
        expired_before=UnixTime(0), refused_before=0,
    )  # fmt: skip
    lied = table.write(lie, head)
    done = shell.run("reputation", STRANGER.address, "--check")
    table.begin("of another market", lied)
    gateway.sync()

    assert done.returncode == 5
    assert "say something else" in done.stdout


def test_the_provider_sees_its_own_offers(shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer]) -> None:
    """And only those."""
    create_key(shell.folder / "p.json", shell.folder / "word", private_key=ANVIL_PRIVATE_KEYS[2], work_factor=2**12)

    rows = shell.answer(
        "provider",
        "offers",
        "--keystore",
        str(shell.folder / "p.json"),
        "--password-file",
        str(shell.folder / "word"),
        "--json",
    )

    assert {row["provider"] for row in rows} == {offers[0].provider}


def test_a_provider_claims_by_hand(desk: Desk, play: Play, gateway: Gateway, running: Job, shell: Shell) -> None:
    """For the result that was posted, with the seconds on the meter; the chain has the claim."""
    create_key(shell.folder / "p.json", shell.folder / "word", private_key=ANVIL_PRIVATE_KEYS[2], work_factor=2**12)
    receipt = play.hand_in(running, 8)
    words = ("--keystore", str(shell.folder / "p.json"), "--password-file", str(shell.folder / "word"), "--json")

    shell.answer("provider", "claim", running.id, "--seconds", "8", *words)

    lease = gateway.market.lease_of(running.id)
    assert (lease.status, lease.claimed_seconds) == (LeaseStatus.CLAIMED, receipt.used_seconds)
    assert shell.answer("provider", "claim", running.id, *words, code=3)["error"]["reason"]


def _as(shell: Shell, number: int) -> tuple[str, ...]:
    """The options of another of anvil's accounts."""
    keystore, word = shell.folder / f"key{number}.json", shell.folder / "word"
    if not keystore.exists():
        create_key(keystore, word, private_key=ANVIL_PRIVATE_KEYS[number], work_factor=2**12)
    return "--keystore", str(keystore), "--password-file", str(word), "--json"


ARBITER = 9


def test_a_dispute_is_opened_and_ruled(play: Play, gateway: Gateway, running: Job, shell: Shell) -> None:
    """The client stakes, the arbiter decides; each is told in one document, and the chain has it."""
    gateway.fund(ANVIL_KEYS[ARBITER], 1)
    before = gateway.market.balance_of(ANVIL_KEYS[ARBITER].address)
    opened = shell.answer("dispute", running.id, "--json")
    gateway.sync()
    ruled = shell.answer("rule", running.id, "--seconds", "3", "--provider-at-fault", *_as(shell, ARBITER))

    assert (opened["event"], opened["by"], opened["lease"]) == ("LeaseDisputed", CLIENT.address, running.id)
    assert opened["claimedSeconds"] >= 10
    assert (ruled["event"], ruled["providerAtFault"], ruled["paidSeconds"]) == ("LeaseRuled", True, 3)
    assert gateway.market.balance_of(ANVIL_KEYS[ARBITER].address) == before + int(opened["stake"]) // 2
    assert gateway.market.lease_of(running.id).status is LeaseStatus.CLOSED


def test_a_dispute_on_which_nobody_rules_lapses(play: Play, gateway: Gateway, running: Job, shell: Shell) -> None:
    """Too early is said with the times; afterwards anybody may."""
    told = shell.run("dispute", running.id)
    early = shell.answer("lapse", running.id, *_as(shell, 4), code=3)["error"]
    play.pass_time(30)
    lapsed = shell.answer("lapse", running.id, *_as(shell, 4))

    assert "are in question" in told.stdout
    assert early["reason"] == "TooEarly"
    assert "from=" in early["detail"]
    assert (lapsed["event"], gateway.market.lease_of(running.id).status) == ("LeaseLapsed", LeaseStatus.CLOSED)


def test_a_provider_assigns_what_a_lease_will_earn(gateway: Gateway, running: Job, shell: Shell) -> None:
    """The chain names the new payee; whoever is not the payee cannot pass it on."""
    receiver = ANVIL_KEYS[5].address

    refused = shell.answer("assign", running.id, receiver, "--json", code=3)["error"]
    done = shell.answer("assign", running.id, receiver, *_as(shell, 2))

    assert refused["reason"] == "NotPayee"
    assert (done["event"], done["payee"]) == ("LeaseAssigned", receiver)
    assert gateway.market.payee_of(running.id) == receiver


def test_a_job_of_ones_own_is_disputed_by_its_number(
    shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer], play: Play
) -> None:
    """Also where the gateway is away: the order is in the own book."""
    words = ("run", "--gpu", "RTX4090", "--max-price", "3.00", "--max-time", "10m", "--no-wait", "--json", "--", "true")
    job = shell.answer(*words)
    (book,) = _books(shell)
    kept = JobJournal(book)
    signed = kept.order(job["id"]).signed
    kept.close()
    gateway.send(OPENER, verbs.open_fills(gateway.book.market, [Fill(signed, offers[0].id, offers[0].price)]))
    play.pass_time(6)

    done = shell.run("dispute", "1", "--json", BOURSE_GATEWAY_URL="http://127.0.0.1:9")

    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["lease"] == job["id"]


def test_a_delegate_gets_a_budget_and_loses_it(shell: Shell, gateway: Gateway) -> None:
    """What is shown is what the contract holds; 0 takes it back."""
    delegate = ANVIL_KEYS[6].address

    given = shell.answer("wallet", "authorize", delegate, "12.50", "--for", "2h", "--json")
    shown = shell.answer("wallet", "budget", delegate, "--json")
    kept = gateway.market.budget_of(CLIENT.address, Address(delegate))
    taken = shell.answer("wallet", "authorize", delegate, "0", "--json")

    assert (given["left"], shown["left"], kept.left) == ("12500000", "12500000", 12_500_000)
    assert given["until"] == shown["until"] == kept.until
    assert 0 <= kept.until - gateway.now() <= 7_200
    assert (taken["left"], taken["until"]) == ("0", 0)
    assert gateway.market.budget_of(CLIENT.address, Address(delegate)) == NO_BUDGET


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (("run", "--gpu", "RTX9999", "--max-price", "1", "--max-time", "1m", "--json", "--", "true"), 2, "InvalidField"),
        (("run", "--gpu", "A10", "--max-price", "0.0000001", "--max-time", "1m", "--json", "--", "true"), 2, "InvalidField"),
        (("run", "--gpu", "A10", "--max-price", "1", "--max-time", "soon", "--json", "--", "true"), 2, "InvalidField"),
        (("run", "--gpu", "A10", "--max-price", "9000", "--max-time", "9d", "--json", "--", "true"), 3, "ClientBalanceTooLow"),
        (("wallet", "withdraw", "1000000000", "--json"), 3, "InsufficientBalance"),
        (("explain", "99", "--json"), 2, "NotFound"),
        (("dispute", "99", "--json"), 2, "NotFound"),
        (("dispute", "0x" + "12" * 32, "--json"), 2, "NotFound"),
        (("assign", "99", "nobody", "--json"), 2, "InvalidField"),
        (("rule", "99", "--seconds", "-1", "--provider-at-fault", "--json"), 2, None),
        (("wallet", "authorize", "nobody", "1", "--for", "1h", "--json"), 2, "InvalidField"),
        (("wallet", "authorize", "0x" + "12" * 20, "1", "--json"), 2, "InvalidField"),
        (("wallet", "authorize", "0x3c44CdDdB6a900fa2b585dd299e03d12FA4293BC", "1", "--for", "1h", "--json"), 2, "InvalidField"),
        (("wallet", "budget", "0x3c44CdDdB6a900fa2b585dd299e03d12FA4293BC", "--json"), 2, "InvalidField"),
        (("reputation", "0x3c44CdDdB6a900fa2b585dd299e03d12FA4293BC", "--json"), 2, "InvalidField"),
        (("assign", "99", "0x3c44CdDdB6a900fa2b585dd299e03d12FA4293BC", "--json"), 2, "InvalidField"),
        (("wallet", "authorize", "0x" + "12" * 20, "1", "--for", "99999999d", "--json"), 2, "InvalidField"),
        (("wallet", "authorize", "0x" + "00" * 20, "1", "--for", "1h", "--json"), 3, "ZeroAccount"),
        (("wallet", "deposit", "-1", "--json"), 2, None),
        (("wallet", "deposit", "1e3", "--json"), 2, "InvalidField"),
        (("wallet", "deposit", "1_0", "--json"), 2, "InvalidField"),
        (("wallet", "deposit", "٣", "--json"), 2, "InvalidField"),
        (("wallet", "withdraw", " 1", "--json"), 2, "InvalidField"),
        (("wallet", "withdraw", ".5", "--json"), 2, "InvalidField"),
        (("run", "--gpu", "A10", "--gpus", "1_0", "--max-price", "1", "--max-time", "1m", "--json", "--", "true"), 2, "InvalidField"),
        (("run", "--gpu", "A10", "--cpus", "٣", "--max-price", "1", "--max-time", "1m", "--json", "--", "true"), 2, "InvalidField"),
        (("run", "--gpu", "A10", "--min-bond", "10001", "--max-price", "1", "--max-time", "1m", "--json", "--", "true"), 2, "InvalidField"),
        (("quote", "--gpu", "A10", "--max-time", "1m", "--min-reliability", " 1", "--json"), 2, "InvalidField"),
        (("watch", "--once", "--timeout", "nan", "--json"), 2, "InvalidField"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_document_and_an_exit_code(
    shell: Shell, words: tuple[str, ...], code: int, reason: str | None
) -> None:
    """Never a traceback, never a second document, and no journal entry that promises something."""
    done = shell.run(*words)

    assert done.returncode == code
    assert "Traceback" not in done.stderr
    if reason is not None:
        assert json.loads(done.stdout)["error"]["reason"] == reason


def test_plain_errors_are_one_line_and_what_to_do_next(shell: Shell) -> None:
    """On stderr; stdout stays empty."""
    done = shell.run("explain", "99")

    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "bourse: NotFound: there is no job 99",
        "  next: bourse ps --all lists your jobs, bourse provider status a provider's offers",
    ]


def test_a_dead_gateway_and_a_dead_chain_are_named(shell: Shell) -> None:
    """Exit code 4: try again, nothing is lost. The wallet needs no gateway."""
    nobody = "http://127.0.0.1:9"
    order = ("run", "--gpu", "RTX4090", "--max-price", "1", "--max-time", "1m", "--json", "--", "true")

    for words, setting in ((order, "BOURSE_GATEWAY_URL"), (("wallet", "show", "--json"), "BOURSE_RPC_URLS")):
        done = shell.run(*words, **{setting: nobody})
        assert done.returncode == 4
        assert json.loads(done.stdout)["error"]["retryable"]
    assert shell.run("wallet", "show", BOURSE_GATEWAY_URL=nobody).returncode == 0


def test_a_key_is_made_and_found_again(shell: Shell) -> None:
    """`wallet new` puts it below BOURSE_HOME, readable by its owner only; it is never overwritten."""
    settings = {name: value for name, value in shell.environment.items() if "KEYSTORE" not in name}
    newcomer = Shell(shell.folder, settings)

    made = newcomer.answer("wallet", "new", "--json")

    assert newcomer.answer("wallet", "show", "--json")["account"] == made["account"]
    assert Path(made["keystore"]).stat().st_mode & 0o077 == 0
    assert newcomer.run("wallet", "new").returncode == 2


def test_an_output_folder_that_is_not_empty_is_refused_before_anything_is_paid(shell: Shell) -> None:
    """Nothing is ever overwritten, so nothing is started either."""
    (shell.folder / "out").mkdir()
    (shell.folder / "out" / "old").write_text("mine")

    done = shell.answer(
        "run", "--gpu", "RTX4090", "--max-price", "3", "--max-time", "1m", "--output", "out", "--json", "--", "true", code=2
    )  # fmt: skip

    assert done["error"]["field"] == "output"
    assert _books(shell) == []


def test_without_any_settings_the_remedy_is_told(tmp_path: Path) -> None:
    """As a process of its own: no market is running here, and one line says how to start one."""
    done = subprocess.run(
        [sys.executable, "-m", "marketplace.cli.main", "offers"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )  # fmt: skip

    assert done.returncode == 2
    assert done.stdout == ""
    assert "BOURSE_GATEWAY_URL" in done.stderr
    assert "bourse devnet up" in done.stderr
