"""Every command's ``--json``, answers and refusals alike: one document, spelled as the ABI and HTTP spell it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer

from marketplace.chain.devnet import ANVIL_KEYS, ANVIL_PRIVATE_KEYS
from marketplace.chain.keystore import create_key
from marketplace.cli.main import app, main
from marketplace.client import Job
from marketplace.client.journal import JobJournal
from marketplace.domain.ids import Bytes32, sha256_in
from marketplace.domain.offers import Offer
from marketplace.domain.units import UnixTime
from marketplace.store.journal.agent import open_agent_journal
from marketplace.store.journal.rows import Serving
from tests.integration.client.conftest import Play
from tests.integration.gateway.conftest import Gateway
from tests.integration.shell import Shell, logging_as_it_was
from tests.spelling import misspelled

__all__ = ["logging_as_it_was"]

ORDER = ("--gpu", "RTX4090", "--max-price", "3.00", "--max-time", "10m", "--no-wait")
ELSEWHERE = {
    "devnet up", "end", "expose", "extend", "gpu", "image push", "offer", "provider check", "provider images", "provider init", "rent", "reservations",
    "reserve", "top",
}  # fmt: skip
"""What needs a network, a machine, a registry or a sitting of its own: only the names that its code writes are looked at."""
FINANCE = ("spv", "vault", "advance")
"""Groups of commands whose answers are looked at where they are tested: by ``Shell.answer``, in test_deploy_command and test_vault_commands."""
NO_ANSWER = {"allow_interspersed_args", "bond_floor"}
"""Settings of the command line itself."""
ARBITER, PROVIDER, ANYBODY = 9, 2, 4


def commands(group: Any, before: str = "") -> Iterator[str]:
    """The commands that take ``--json``."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        elif any("--json" in option.opts for option in command.params):
            yield before + name


COMMANDS = sorted(commands(typer.main.get_command(app)))


@dataclass
class Walk:
    """Somebody who types every command once, and looks at the names in what is answered."""

    shell: Shell
    taken: set[str] = field(default_factory=set)

    def __call__(self, command: str, *words: str, code: int = 0, home: str = "home") -> Any:
        done = self.shell.run(*command.split(), "--json", *words, BOURSE_HOME=str(self.shell.folder / home))
        assert done.returncode == code, f"{command}: {done.stdout}\n{done.stderr}"
        document = json.loads(done.stdout)
        assert document
        assert misspelled(document) == [], command
        self.taken.add(command)
        return document


def key_of(shell: Shell, number: int) -> tuple[str, ...]:
    """The options of another of anvil's accounts."""
    keystore, word = shell.folder / f"key{number}.json", shell.folder / "word"
    if not keystore.exists():
        create_key(keystore, word, private_key=ANVIL_PRIVATE_KEYS[number], work_factor=2**12)
    return "--keystore", str(keystore), "--password-file", str(word)


def look_around(walk: Walk, provider: str) -> None:
    walk("offers")
    walk("market")
    walk("quote", "--gpu", "RTX4090", "--max-time", "1h")
    walk("reputation", provider, "--check")
    walk("audit")
    walk("deploy", "--dry-run", "--salt", "another", "--address-book", "another.json")


def move_money(walk: Walk, delegate: str) -> None:
    walk("wallet new", "--keystore", "fresh.json", "--password-file", "fresh.password")
    walk("wallet show")
    walk("wallet fund", "3")
    walk("wallet deposit", "2.50")
    walk("wallet withdraw", "0.25")
    walk("wallet authorize", delegate, "12.50", "--for", "2h")
    walk("wallet budget", delegate)


def have_a_job_done(walk: Walk, gateway: Gateway, play: Play, other: Job) -> None:
    job = Bytes32(walk("run", *ORDER, "--", "true")["id"])
    (book,) = (walk.shell.folder / "home").rglob("0x*/**/jobs.sqlite") or [Path()]
    kept = JobJournal(book)
    gateway.open(kept.order(job).signed, play.offer)
    kept.close()
    play.pass_time(10)
    play.hand_in(other, 8, lease=job)
    assert walk("ps", "--all")
    walk("logs", job)
    walk("get", job, "--output", "out")
    assert walk("explain", job)["result"]["outputs"]
    walk("share", job)
    never_opened = walk("run", *ORDER, "--", "true", home="second")["id"]
    walk("cancel", never_opened, home="second")
    walk("watch", "--once", home="second")


def quarrel(walk: Walk, gateway: Gateway, play: Play, running: Job) -> None:
    lease = running.id
    walk("dispute", lease)
    gateway.sync()
    walk("rule", lease, "--seconds", "3", "--provider-at-fault", *key_of(walk.shell, ARBITER))
    walk("lapse", lease, *key_of(walk.shell, ANYBODY), code=3)
    walk("backstop", lease, *key_of(walk.shell, ANYBODY), code=2)
    walk("collect", *key_of(walk.shell, ANYBODY), code=2)
    another = gateway.leased(play.offer).id
    play.hand_in(running, 0, lease=another)
    walk("provider claim", another, "--seconds", "0", *key_of(walk.shell, PROVIDER))
    walk("assign", another, ANVIL_KEYS[ANYBODY].address, *key_of(walk.shell, PROVIDER))


def keep_an_agents_journal(walk: Walk, gateway: Gateway, offer: Offer) -> None:
    """Of an agent that made the offer, and was killed when a lease had opened on it."""
    order, now = gateway.leased(offer), gateway.now()
    opened_at = gateway.market.lease_of(order.id).opened_at
    journal = open_agent_journal(walk.shell.folder / "agent")
    journal.add_listing(offer.id, sha256_in(offer.spec))
    serving = Serving(
        lease=order.id, opened_at=opened_at, offer=offer.id, price=offer.price, order=order.order, opened_in_block=1,
        updated_at=UnixTime(now),
    )  # fmt: skip
    assert journal.add_serving(serving)
    journal.close()


def rent_out(walk: Walk, gateway: Gateway, offer: Offer) -> None:
    keep_an_agents_journal(walk, gateway, offer)
    keys = key_of(walk.shell, PROVIDER)
    walk("provider offers", *keys)
    assert walk("provider status", *keys, code=4, home="agent")["offers"]
    assert walk("provider leases", *keys, home="agent")
    assert walk("provider earnings", *keys, home="agent")["rows"]
    walk("provider reprice", str(offer.id), "2.50", *keys, home="agent")
    walk("provider pause", *keys, home="agent")
    walk("provider resume", *keys, home="agent")
    walk("provider drain", *keys, home="agent", code=7)


def keep_a_network(walk: Walk) -> None:
    """What a network wrote down that is not there any more."""
    folder = walk.shell.folder / ".devnet"
    folder.mkdir()
    row = {"pid": 0, "restarts": 1, "log": "x.log", "health": None}
    state = {
        "ready": True, "pid": 2**22, "pid_started": 0.0, "processes": {"gateway": row},
        "settings": {"gateway_url": "http://127.0.0.1:1", "rpc_urls": "http://127.0.0.1:1"},
        "accounts": {"client": {"address": "0x", "keystore": "x", "password_file": "y"}},
    }  # fmt: skip
    (folder / "state.json").write_text(json.dumps(state))
    walk("devnet status")
    walk("devnet hold", "gateway")
    walk("devnet release", "gateway")
    walk("devnet down")


def test_every_command_answers_in_one_spelling(
    shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer], play: Play, running: Job
) -> None:
    """All commands that have ``--json`` are taken, but for a few, and no name in what they say is spelled otherwise than in HTTP and the ABI."""
    walk = Walk(shell)
    gateway.fund(ANVIL_KEYS[ARBITER], 1)
    look_around(walk, offers[0].provider)
    move_money(walk, ANVIL_KEYS[6].address)
    have_a_job_done(walk, gateway, play, running)
    quarrel(walk, gateway, play, running)
    rent_out(walk, gateway, offers[0])
    keep_a_network(walk)

    assert sorted(walk.taken | ELSEWHERE) == [command for command in COMMANDS if not command.startswith(FINANCE)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_in_json_too(command: str, tmp_path: Path) -> None:
    """An option that it does not have is told in one document, with exit code 2."""
    done = Shell(tmp_path, {}).run(*command.split(), "--json", "--no-such-option")
    document = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (2, "")
    assert misspelled(document) == []
    assert (document["error"]["reason"], document["error"]["exitCode"]) == ("InvalidField", 2)


def test_no_command_writes_a_name_of_another_spelling() -> None:
    """Every name that stands in an object of ours, in the code of any command, is camelCase."""
    code = Path(main.__code__.co_filename).parent
    written = {
        (file.name, key.value)
        for file in code.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str) and "_" in key.value
    }

    assert {(file, name) for file, name in written if name not in NO_ANSWER} == set()
