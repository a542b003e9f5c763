"""What people read of one offer."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from marketplace.api.offers import OfferTold
from marketplace.chain.checksums import checksum
from marketplace.cli.tables import amount, gib, gpus_are, heard, plain_table
from marketplace.domain.market import MarketTerms
from marketplace.domain.measurements import Measurement
from marketplace.domain.units import UnixTime, text_from_bps, text_from_seconds


def offer_page(row: OfferTold, terms: MarketTerms, now: UnixTime, seen: Measurement | None) -> Group:
    """Its terms, its machine, and its GPUs one by one where they were measured."""
    head = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    head.add_column(style="bold")
    head.add_column(overflow="fold")
    head.add_row("offer", f"{row.id}: {row.free} of {row.gpus} {row.class_name} free")
    head.add_row("price per GPU-hour", amount(row.price, terms))
    head.add_row("provider", f"{checksum(row.provider)}, reliable {text_from_bps(row.reliability_bps)}")
    head.add_row("heard", heard(row.last_heartbeat, now))
    head.add_row("bond", f"{row.bond_bps / 100:g} %")
    head.add_row("arbiter", checksum(row.arbiter))
    until = f"{text_from_seconds(row.expires_at - now)} from now" if row.listed else "withdrawn"
    head.add_row("on the market until", until)
    if machine := row.machine:
        head.add_row(
            "machine",
            f"{machine.cpus} CPUs, {gib(machine.memory_mib)} memory, {gib(machine.disk_mib)} disk, {machine.region}",
        )
        head.add_row("network", f"{machine.egress_mib} MiB for a job" if machine.egress_mib else "none for jobs")
    head.add_row("GPUs are", gpus_are(seen, now) if seen else "declared: nobody looked")
    return Group(head) if seen is None else Group(head, Text(), *_measured(seen))


def _measured(seen: Measurement) -> tuple[Text, Table]:
    table = plain_table("GPU", "name", "memory", "CUDA capability", "PCIe", "NVLinks", "ECC")
    for gpu in seen.gpus:
        lanes = f"gen {_told(gpu.pcie_generation)} x{_told(gpu.pcie_lanes)}"
        ecc = "–" if gpu.has_ecc is None else "on" if gpu.has_ecc else "off"
        table.add_row(
            gpu.uuid, gpu.name, f"{gpu.memory_mib} MiB", _told(gpu.capability), lanes, _told(gpu.nvlinks), ecc
        )
    words = f"Seen by the provider's agent at block {seen.block}, signed: driver {_told(seen.driver)}, CUDA {_told(seen.cuda)}."
    return Text(words), table


def _told(value: object) -> str:
    return "–" if value is None else str(value)
