"""The inventory file: what it may say, and how its mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.domain.errors import ConfigError, InvalidField
from marketplace.domain.spec import read_machine
from marketplace.domain.units import UnixTime
from marketplace.provider.inventory import Inventory, Term, load_inventory, read_inventory

ARBITER = "0x" + "ab" * 20
HEAD = 'region = "eu"\ncpus = 8\nmemory_mib = 65536\ndisk_mib = 100000\n'
OFFER = f'[[offer]]\ngpu = "rtx4090"\ncount = 2\nprice = "0.35"\nbond_bps = 1000\narbiter = "{ARBITER}"\ndays = 30\n'


def read(text: str) -> Inventory:
    return read_inventory(text.encode(), decimals=6)


def test_price_is_read_exactly() -> None:
    """A price is decimal text and becomes token base units without a float in between (P-02)."""
    (offer,) = read(HEAD + OFFER).offers

    assert offer.price == 350_000
    assert offer.gpu.name == "RTX4090"


def test_machine_is_declared_not_measured() -> None:
    """The description that is listed says of itself that nobody measured it."""
    (offer,) = read(HEAD + OFFER).offers

    assert offer.machine.measured is False
    assert read_machine(offer.machine.canonical()) == offer.machine


def test_offers_divide_the_machines_gpus() -> None:
    """Each offer has its own GPU numbers, in the order of the file."""
    first, second = read(HEAD + OFFER + OFFER.replace("rtx4090", "A10").replace("count = 2", "count = 3")).offers

    assert first.gpus == ("0", "1")
    assert second.gpus == ("2", "3", "4")


def test_offers_may_name_their_gpus() -> None:
    """Two agents of one machine share it so; the other offers of a file take the next ones that nobody names."""
    third = OFFER.replace("count = 2", "count = 1")
    offers = read(HEAD + OFFER + OFFER.replace("count = 2", "count = 2\ngpus = [1, 3]") + third).offers

    assert [offer.gpus for offer in offers] == [("0", "2"), ("1", "3"), ("4",)]


@pytest.mark.parametrize(
    "gpus", ["[0]", "[0, 0]", "[0, -1]", "[0, 65536]", "[0, true]", '[0, "1"]', '[0, "GPU-../a"]', "2"]
)
def test_gpus_that_cannot_be_are_refused(gpus: str) -> None:
    """As many as count says, each once, each a number of the machine's."""
    with pytest.raises(InvalidField, match="gpus"):
        read(HEAD + OFFER.replace("count = 2", f"count = 2\ngpus = {gpus}"))


def test_no_two_offers_name_one_gpu() -> None:
    """It would be rented out twice."""
    with pytest.raises(InvalidField, match=r"offer\[1\].gpus"):
        read(HEAD + 2 * OFFER.replace("count = 2", "count = 2\ngpus = [4, 5]"))


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ('gpu = "rtx4090"', 'gpu = "rtx4091"', "offer[0].gpu"),
        ("count = 2", "count = 0", "offer[0].count"),
        ("count = 2", "count = 65536", "offer[0].count"),
        ("count = 2", "count = true", "offer[0].count"),
        ('price = "0.35"', "price = 0.35", "offer[0].price"),
        ('price = "0.35"', 'price = "0"', "offer[0].price"),
        ('price = "0.35"', 'price = "-1"', "offer[0].price"),
        ('price = "0.35"', 'price = "0.0000001"', "offer[0].price"),
        ('price = "0.35"', f'price = "{2**80}"', "offer[0].price"),
        ("bond_bps = 1000", "bond_bps = 10001", "offer[0].bond_bps"),
        ("bond_bps = 1000", "", "offer[0].bond_bps"),
        ("days = 30", "days = 30\nmin_seconds = 65536", "offer[0].min_seconds"),
        (f'"{ARBITER}"', '"0x12"', "offer[0].arbiter"),
        (ARBITER, "0x" + "00" * 20, "offer[0].arbiter"),
        ("days = 30", "", "offer[0].days"),
        ("days = 30", "days = 30\nexpires = 2030-01-01T00:00:00Z", "offer[0].days"),
        ("days = 30", "expires = 2030-01-01T00:00:00", "offer[0].expires"),
        ("days = 30", "expires = 2200-01-01T00:00:00Z", "offer[0].expires"),
        ("days = 30", "days = 30\nprise = 1", "offer[0].prise"),
        ("cpus = 8", "cpus = 0", "cpus"),
        ('region = "eu"', 'region = "E U"', "region"),
        ("disk_mib = 100000", "", "disk_mib"),
        ("cpus = 8", "cpus = 8\ngpus = 2", "gpus"),
        ("cpus = 8", "cpus = ", "inventory"),
    ],
)
def test_mistakes_are_named(before: str, after: str, field: str) -> None:
    """Whatever is wrong, the error names the field and the rule."""
    with pytest.raises(InvalidField) as caught:
        read((HEAD + OFFER).replace(before, after, 1))

    assert caught.value.field == field
    assert caught.value.rule


def test_file_without_offers_is_refused() -> None:
    """An agent with nothing to offer has nothing to do."""
    with pytest.raises(InvalidField, match="offer"):
        read(HEAD)


def test_file_is_named_in_the_error(tmp_path: Path) -> None:
    """Who has several inventories learns which one is wrong."""
    path = tmp_path / "machine.toml"
    path.write_text(HEAD)

    with pytest.raises(ConfigError, match=r"machine\.toml.*offer"):
        load_inventory(path, decimals=6)
    with pytest.raises(ConfigError, match=r"missing\.toml"):
        load_inventory(tmp_path / "missing.toml", decimals=6)


def test_days_are_renewed_in_the_second_half() -> None:
    """An offer for a number of days is extended when half of them are gone, and left alone before."""
    term, day = Term(days=2), 86_400

    assert term.expiry(UnixTime(0)) == 2 * day
    assert term.expiry(UnixTime(day - 1), UnixTime(2 * day)) == 2 * day
    assert term.expiry(UnixTime(day), UnixTime(2 * day)) == 3 * day


def test_fixed_expiry_never_moves() -> None:
    """An offer with a date ends at that date."""
    assert Term(until=UnixTime(5)).expiry(UnixTime(9), UnixTime(7)) == 5


def test_an_arbiter_with_a_wrong_checksum_is_refused() -> None:
    """A mistyped arbiter would be nobody who can rule (EIP-55)."""
    right = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"

    (offer,) = read(HEAD + OFFER.replace(ARBITER, right)).offers
    with pytest.raises(InvalidField) as caught:
        read(HEAD + OFFER.replace(ARBITER, right.replace("Cd", "cd")))

    assert offer.arbiter == right.lower()
    assert caught.value.field == "offer[0].arbiter"


def test_jobs_have_no_network_unless_the_file_says_so() -> None:
    """All offers of a machine say how much a job may send and receive; addresses of the provider's own are named one by one."""
    (without,) = read(HEAD + OFFER).offers
    (offer,) = read(HEAD + OFFER + '[egress]\nmost_mib = 512\nlocal = ["10.0.0.5:80"]\n').offers

    assert (without.machine.egress_mib, without.local) == (0, ())
    assert (offer.machine.egress_mib, offer.local) == (512, ("10.0.0.5:80",))
    assert read_machine(offer.machine.canonical()) == offer.machine
    for wrong in (
        "most_mib = 0",
        "",
        'most_mib = 1\nlocal = ["mirror.example:80"]',
        'most_mib = 1\nlocal = ["10.0.0.0/8:80"]',
        "most_mib = 1\nx = 1",
    ):
        with pytest.raises(InvalidField, match="egress"):
            read(f"{HEAD}{OFFER}[egress]\n{wrong}\n")
