"""`bourse reserve` and `bourse reservations`: what is planned, what is signed, and where it stands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from marketplace.chain import verbs
from marketplace.chain.devnet import increase_time
from marketplace.client.journal import JobJournal
from marketplace.domain.fills import Fill
from marketplace.domain.offers import Offer
from tests.integration.gateway.conftest import PROVIDER, Gateway
from tests.integration.shell import Shell, logging_as_it_was

__all__ = ["logging_as_it_was"]

TERM = ("reserve", "--gpu", "RTX4090", "--max-price", "3.00", "--json")


def test_a_reservation_is_planned_signed_and_listed(
    shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer]
) -> None:
    """The plan says what it costs at worst, and what is due whatever happens; the order is what the plan said; the list follows the chain."""
    words = (*TERM, "--from", "1d", "--for", "100s", "--min", "50s", "--upfront", "20%", "--offer", str(offers[0].id))
    plan = shell.answer(*words, "--dry-run")
    assert (plan["maxSeconds"], plan["minSeconds"], plan["upfrontSeconds"]) == (100, 50, 20)
    assert [plan[name] for name in ("worstCost", "guaranteedCost", "upfrontCost")] == ["83334", "41666", "16666"]
    assert shell.answer("reservations", "--json") == []

    done = shell.answer(*words, "--no-wait")
    (waiting,) = shell.answer("reservations", "--json")
    (book,) = (shell.folder / "home").rglob("jobs.sqlite")
    kept = JobJournal(book)
    signed = kept.order(done["id"]).signed
    kept.close()
    assert (waiting["id"], waiting["state"], waiting["provider"]) == (done["id"], "waiting", None)
    assert signed.order.starts_at == waiting["startsAt"] == signed.order.expires_at
    gateway.send(PROVIDER, verbs.open_fills(gateway.book.market, [Fill(signed, offers[0].id, offers[0].price)]))
    (reserved,) = shell.answer("reservations", "--json")
    increase_time(gateway.chain, 86_400)
    (running,) = shell.answer("reservations", "--json")

    assert (reserved["state"], running["state"]) == ("reserved", "running")
    assert (reserved["provider"], int(reserved["price"])) == (offers[0].provider, offers[0].price)
    assert "guaranteed" in shell.run("reservations").stdout
    assert (reserved["endingCosts"], running["endingCosts"]) == (reserved["guaranteedCost"], running["guaranteedCost"])
    ended = shell.run("end", str(done["job"]), "--json")
    assert (ended.returncode, "in all, of which" in ended.stderr) == (0, True)
    assert shell.answer("reservations", "--json") == []
    (over,) = shell.answer("reservations", "--all", "--json")
    assert over["state"] == "over"


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("--from", "2020-01-01", "--days", "1"), "from"),
        (("--from", "whenever", "--days", "1"), "from"),
        (("--from", "1d"), "days"),
        (("--from", "1d", "--days", "1", "--for", "1h"), "days"),
        (("--from", "1d", "--days", "1", "--min-days", "2"), "min"),
        (("--from", "1d", "--days", "1", "--upfront", "20"), "upfront"),
        (("--from", "1d", "--days", "1", "--upfront", "101%"), "upfront"),
        (("--from", "1d", "--for", "100s", "--min", "19s", "--upfront", "20%"), "upfront"),
        (("--from", "1d", "--days", "1", "--pip", "nowhere.txt"), "pip"),
    ],
    ids=str,
)
def test_what_cannot_be_reserved_is_said_with_its_option(shell: Shell, words: tuple[str, ...], field: str) -> None:
    """Nothing is signed for a day that is past, a term said twice or not, more up front than is guaranteed, or packages that nothing names."""
    assert shell.answer(*TERM, *words, code=2)["error"]["field"] == field


def test_a_day_is_a_day_of_utc(shell: Shell, gateway: Gateway, offers: tuple[Offer, Offer]) -> None:
    """--from takes a date, a time with its zone, or a time of UTC."""
    year = datetime.fromtimestamp(gateway.now(), UTC).year + 1
    instants = {
        shell.answer(*TERM, "--for", "1s", "--from", f"{year}-{text}", "--dry-run")["startsAt"]
        for text in ("01-02", "01-02T00:00:00", "01-02T01:00:00+01:00")
    }

    assert instants == {int(datetime(year, 1, 2, tzinfo=UTC).timestamp())}
    assert offers
