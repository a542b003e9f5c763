"""`make demo`: a whole market on this machine, and real work on it. Exit status 0 only if everything that is said at the end is true.

Three providers list GPUs, a client deposits, signs orders for real jobs, the scheduler clears them, providers run them in a sandbox, results
come back verified, money moves, one provider dies in the middle of its work, and at the end everybody takes their money out.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from marketplace import devnet, processes, wiring
from marketplace.chain import verbs
from marketplace.chain.keystore import load_key
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.client import Job, JobRequest, Market
from marketplace.client.images import push_image
from marketplace.config import DEVNET_FOLDER, Settings, from_env, variables
from marketplace.domain.errors import MarketplaceError
from marketplace.domain.ids import Address
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.states import JobState
from marketplace.domain.units import Seconds, TokenUnits, text_from_units
from marketplace.provider.runtime import load_runtime
from marketplace.ssh_keys import own_public_key
from marketplace.store.journal.agent import open_agent_journal
from marketplace.telemetry import configure_logging

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / DEVNET_FOLDER
DIGITS = ROOT / "examples" / "digits"
DEPOSIT = "50"
ENOUGH_ACCURACY = 0.95
TIMEOUT_SECONDS = 240
LEFT_TO_PLAY_WITH = TokenUnits(1_000_000_000)

HOST_IMAGE = ROOT / "examples" / "host_image.py"
IN_IMAGE = "cat /etc/passwd > /job/out/accounts; echo 1 > /usr/changed; echo its own root"
IN_IMAGE_SAID = "its own root"
FETCHED = ROOT / ".tools" / "debian" / "usr"
"""OpenSSH, where set-up had to fetch it."""
SITTING_SECONDS = 60
AT_THE_MACHINE = "echo user $(id -u) in $PWD"
AT_THE_MACHINE_SAID = "user 65534 in /job/in"
WITHOUT_SSH = "not here: OpenSSH's client is missing"

console = Console(highlight=False, width=max(120, Console().width))


@dataclass(frozen=True)
class Jobs:
    """The work of the demonstration, by what becomes of it."""

    patient: Job
    """Its provider is killed; the retry policy has it done elsewhere."""
    trainings: tuple[Job, ...]
    contained: Job
    """It runs in a container image, which the client brought to the market itself."""
    broken: Job
    unwanted: Job

    @property
    def all(self) -> tuple[Job, ...]:
        return (self.patient, *self.trainings, self.contained, self.broken, self.unwanted)


class Checks:
    """What must be true at the end, each as a sentence."""

    def __init__(self) -> None:
        self.failed = 0

    def that(self, sentence: str, holds: bool) -> None:
        console.print(f"  {'[green]✓' if holds else '[red]✗'}[/] {sentence}")
        self.failed += not holds


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--keep", action="store_true", help="leave the market running afterwards")
    keep = reader.parse_args().keep
    configure_logging("demo", level=logging.ERROR)
    console.rule("Compute Bourse: a market on this machine")
    console.print("starting anvil, redis, gateway, indexer, scheduler and three providers …")
    devnet.start_detached(FOLDER)
    try:
        failed = play(keep)
    finally:
        if not keep:
            devnet.stop_detached(FOLDER)
    if keep:
        let_all_live_again()
        say_how_to_play()
    return 1 if failed else 0


def play(keep: bool) -> int:
    """The whole story; the number of sentences that turned out untrue."""
    settings = from_env({}, ROOT)
    market = wiring.open_market(settings)
    names = {account["address"]: role for role, account in devnet.read_state(FOLDER)["accounts"].items()}
    show_offers(market, names)
    market.deposit(market.amount(DEPOSIT))
    console.print(
        f"\nthe client deposits {DEPOSIT} {market.terms.token_symbol} and signs orders; signing costs no gas\n"
    )
    with TemporaryDirectory() as folder:
        jobs = submit(market, inputs_in(Path(folder)))
        follow(market, jobs, names)
        rented, heard = rent_a_machine(market, own_public_key(settings.home))
        results = read_results(jobs.trainings, Path(folder))
    show_jobs(market, (*jobs.all, rented), names)
    checks = Checks()
    console.print("\nwhat must be true:")
    check_jobs(checks, market, jobs, results)
    check_rented(checks, market, rented, heard)
    check_money(checks, market, settings, LEFT_TO_PLAY_WITH if keep else TokenUnits(0), names)
    market.close()
    return checks.failed


def inputs_in(folder: Path) -> Path:
    """The real data set that scikit-learn ships, beside the programs that use it."""
    inputs = folder / "inputs"
    shutil.copytree(DIGITS, inputs, ignore=shutil.ignore_patterns("__pycache__"))
    packages = load_runtime(processes.RUNTIME_FOLDER).environment
    (shipped,) = packages.glob("lib/*/site-packages/sklearn/datasets/data/digits.csv.gz")
    shutil.copyfile(shipped, inputs / shipped.name)
    return inputs


def submit(market: Market, inputs: Path) -> Jobs:
    """Sign and send every order; the patient job first, so that the cheapest offer, with one GPU, is its own."""
    base = JobRequest(
        command=(), gpus_of=("RTX4090",), max_price=market.price("0.40"), max_time=Seconds(24), inputs=inputs, retries=2,
        silent_after=Seconds(12),
    )  # fmt: skip

    def order(name: str, *command: str, request: JobRequest = base) -> Job:
        job = market.submit(replace(request, name=name, command=("python", *command)))
        console.print(f"  job {job.number}: {name}")
        return job

    patient = order("svm, 60 splits", "train.py", "--gamma", "0.001", "--rounds", "60")
    for _ in market.steps(TIMEOUT_SECONDS):
        if patient.state is JobState.RUNNING and b"round" in market.api.log(patient.orders[-1]):
            break
    trainings = (
        order("svm gamma=0.01", "train.py", "--gamma", "0.01"),
        order("svm gamma=0.001", "train.py", "--gamma", "0.001"),
        order("svm gamma=0.0001", "train.py", "--gamma", "0.0001"),
        order("mlp 64", "train.py", "--model", "mlp", "--hidden", "64", "--epochs", "60"),
    )
    boxed = replace(base, image=push_programs(market), inputs=None, max_time=Seconds(60))
    contained = market.submit(replace(boxed, name="in a container image", command=("sh", "-c", IN_IMAGE)))
    console.print(f"  job {contained.number}: {contained.name}")
    broken = order("needs a file it lacks", "broken.py")
    cheap = replace(base, max_price=market.price("0.05"), expires_in=Seconds(20), retries=0)
    unwanted = order("pays 0.05 an hour", "train.py", request=cheap)
    return Jobs(patient, trainings, contained, broken, unwanted)


def push_programs(market: Market) -> str:
    """A container image of two of this machine's own programs, brought to the market: no engine, no registry, no root."""
    with TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, HOST_IMAGE, f"{folder}/image", "sh", "cat"], check=True, stdout=subprocess.DEVNULL
        )
        pushed = push_image(market.api, Path(folder, "image"))
    console.print(f"  image {pushed.name}: {pushed.sent_bytes >> 10} KiB sent")
    return str(pushed.name)


def follow(market: Market, jobs: Jobs, names: dict[Address, str]) -> None:
    """Kill a provider in the middle of its work, then watch until every job is over and its money has moved."""
    lease = market.api.lease(jobs.patient.orders[0])
    victim = names[lease.record.provider]
    devnet.hold(FOLDER, victim)
    console.print(
        f"\n[red]{victim} is killed (SIGKILL)[/] while it runs job {jobs.patient.number}; it will not come back\n"
    )
    for change in market.wait_all(jobs.all, TIMEOUT_SECONDS, settled=True):
        event = change.event
        why = event.reason.value.replace("_", " ") + (f": {event.note}" if event.note else "")
        console.print(f"  job {change.job.number} ({change.job.name}) is {event.state.value}: {why}")


def rent_a_machine(market: Market, ssh_key: str) -> tuple[Job, str]:
    """A machine without a command, sat at by ssh and then given back, until its money has moved; and what it said."""
    rented = market.submit(
        JobRequest(
            command=(), session=SessionTerms(), gpus_of=("RTX4090",), max_price=market.price("0.40"),
            max_time=Seconds(120), ssh_keys=(ssh_key,), retries=0, name="a machine to sit at",
        )
    )  # fmt: skip
    console.print(f"\n  job {rented.number}: {rented.name}")
    for _ in market.steps(TIMEOUT_SECONDS):
        if rented.state is not JobState.SUBMITTED:
            break
    heard = sit_at(market, rented)
    console.print(f"  bourse exec {rented.number} -- sh -c …: {heard}; the machine is given back")
    rented.cancel()
    rented.wait_settled(TIMEOUT_SECONDS)
    return rented, heard


def sit_at(market: Market, machine: Job) -> str:
    """Run a command there by ssh, through the market's relay, as a user does from a shell; what it said."""
    path = f"{variables()['PATH']}:{FETCHED}/bin"
    if not shutil.which("ssh", path=path):
        return WITHOUT_SSH
    there = {"PATH": path, "LD_LIBRARY_PATH": f"{FETCHED}/lib/x86_64-linux-gnu"}
    words = ["exec", str(machine.number), "--", "sh", "-c", AT_THE_MACHINE]
    said = "nothing"
    for _ in market.steps(SITTING_SECONDS):  # until its provider has put up the machine's host key
        done = subprocess.run(
            [sys.executable, "-m", "marketplace.cli.main", *words], cwd=ROOT, env=there, capture_output=True, text=True
        )
        said = (done.stdout or done.stderr).strip()
        if done.returncode == 0:
            break
    return said


def read_results(trainings: Iterable[Job], folder: Path) -> dict[str, float]:
    """The accuracy that each training reached, from its verified outputs."""
    found = {}
    for job in trainings:
        if job.state is JobState.SUCCEEDED:
            job.download(folder / str(job.number))
            found[job.name] = float(json.loads((folder / str(job.number) / "result.json").read_text())["accuracy"])
    return found


def check_jobs(checks: Checks, market: Market, jobs: Jobs, results: dict[str, float]) -> None:
    """What was promised about each kind of job."""
    best = max(results, key=lambda name: results[name], default="none")
    checks.that(f"all {len(jobs.trainings)} trainings succeeded and verified", len(results) == len(jobs.trainings))
    accuracy = results.get(best, 0.0)
    checks.that(f"the best model is {best}, accuracy {accuracy:.4f} ≥ {ENOUGH_ACCURACY}", accuracy >= ENOUGH_ACCURACY)
    first, *others = jobs.patient.attempts()
    money = human(market, first.sums.compensation)
    checks.that(
        f"the killed provider's bond paid the client {money}, and another provider did the work",
        first.exit == "LeaseExpired" and first.sums.compensation > 0 and jobs.patient.state is JobState.SUCCEEDED
        and bool(others) and others[-1].provider != first.provider,
    )  # fmt: skip
    kept = jobs.contained.state is JobState.SUCCEEDED and IN_IMAGE_SAID in "".join(jobs.contained.logs())
    checks.that("a job ran in a container image that no registry has ever seen", kept)
    failed = jobs.broken.result()
    checks.that(
        f"the failing job says exit code {failed.exit_code} and costs its {failed.used_seconds} s",
        jobs.broken.state is JobState.FAILED and failed.exit_code == 3 and jobs.broken.sums().paid == failed.cost,
    )
    explanation = market.api.explanation(jobs.unwanted.orders[-1])
    miss = explanation.nearest_miss if explanation else "no explanation"
    checks.that(
        f"the order that nobody serves is explained: {miss}",
        jobs.unwanted.state is JobState.UNPLACED and bool(explanation and explanation.reasons),
    )


def check_rented(checks: Checks, market: Market, rented: Job, heard: str) -> None:
    """What was promised about the machine that somebody sat at."""
    paid = rented.sums().paid
    checks.that(
        f"a rented machine was sat at by ssh ({heard}), and cost {human(market, paid)}",
        heard in (AT_THE_MACHINE_SAID, WITHOUT_SSH) and rented.state is JobState.CANCELLED and paid > 0,
    )


def take_out(market: Market, settings: Settings, role: str, key: Key, amount: TokenUnits) -> None:
    """Withdraw through the account's own outbox, so that none of its processes meets a transaction that it does not know."""
    if role == "client":
        market.withdraw(amount)
        return
    withdrawal = verbs.withdraw(market.terms.market, key.address, amount)
    if not role.startswith("provider"):
        Sender(market.chain, key).send(withdrawal)
        return
    with closing(open_agent_journal(FOLDER / role)) as journal:
        Sender(market.chain, key, journal.outbox).send(withdrawal)


def check_money(
    checks: Checks, market: Market, settings: Settings, left: TokenUnits, names: dict[Address, str]
) -> None:
    """The market's books against its token balance, and everybody's way out."""
    books = wiring.audit(settings)
    table = Table("account", "free in the market", title="\nbalances")
    for address, free in sorted(books.accounts.items(), key=lambda row: names.get(row[0], row[0])):
        table.add_row(names.get(address, address), human(market, free))
    console.print(table)
    checks.that(
        f"the market holds {human(market, books.held)} = accounts {human(market, sum(books.accounts.values()))} + locks"
        f" {human(market, books.locked)}, to the last unit",
        books.is_balanced and books.is_what_the_chain_says,
    )
    for role, account in devnet.read_state(FOLDER)["accounts"].items():
        key = load_key(Path(account["keystore"]), Path(account["password_file"]))
        free = books.accounts.get(key.address, 0)
        amount = TokenUnits(max(0, free - (left if role.startswith("provider") else 0)))
        if amount:
            take_out(market, settings, role, key, amount)
            checks.that(f"{role} withdraws {human(market, amount)}", True)
    after = wiring.audit(settings)
    checks.that(
        f"then the market holds {human(market, after.held)}",
        after.is_balanced and (bool(left) or after.held == 0),
    )


def show_offers(market: Market, names: dict[Address, str]) -> None:
    table = Table("offer", "provider", "GPUs", "asks per GPU-hour", "bond", "measured", title="\non offer")
    for answer in market.offers():
        offer = answer.offer
        seen = "measured" if answer.machine and answer.machine.measured else "declared"
        table.add_row(
            str(offer.id), names.get(offer.provider, offer.provider), f"{offer.gpus} × {answer.class_name}",
            human(market, offer.price), f"{offer.bond_bps / 100:.0f} %", seen,
        )  # fmt: skip
    console.print(table)


def show_jobs(market: Market, jobs: Iterable[Job], names: dict[Address, str]) -> None:
    table = Table(
        "job", "attempt", "provider", "price", "seconds", "paid", "refunded", "compensation", "result", title="\njobs"
    )
    for job in jobs:
        for attempt in job.attempts():
            serving = attempt.servings[-1] if attempt.servings else None
            is_last = attempt.order == job.orders[-1]
            table.add_row(
                f"{job.number} {job.name}", str(attempt.number), names.get(attempt.provider or Address(""), "–"),
                human(market, serving.price) if serving else "–",
                str(serving.paid_seconds) if serving and serving.paid_seconds is not None else "–",
                human(market, attempt.sums.paid), human(market, attempt.sums.refunded), human(market, attempt.sums.compensation),
                job.state.value if is_last else attempt.exit,
            )  # fmt: skip
    console.print(table)


def human(market: Market, units: int) -> str:
    return text_from_units(units, market.terms.token_decimals)


def let_all_live_again() -> None:
    """Whoever plays on finds all the providers at work, the one that was killed, too."""
    for name, row in devnet.look(FOLDER)["processes"].items():
        if row["state"] == "held":
            devnet.release(FOLDER, name)
            console.print(f"\n{name}, which was killed, is let start again; `bourse devnet hold {name}` kills it")


def say_how_to_play() -> None:
    console.rule("the market keeps running")
    gateway = devnet.read_state(FOLDER)["settings"]["gateway_url"]
    console.print(f"  see it in a browser: {gateway}\n", markup=False)
    for line in (
        "source .venv/bin/activate",
        "bourse offers",
        "bourse wallet deposit 20",
        "bourse run --gpu RTX4090 --max-price 0.40 --max-time 1m -- python -c 'print(6 * 7)'",
        "bourse ps · bourse explain 1 · bourse logs 1",
        "bourse devnet down        ends it",
    ):
        console.print("  " + line, markup=False)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MarketplaceError as error:
        console.print(f"[red]demo: {error.reason}[/]: {error}", markup=True)
        sys.exit(1)
