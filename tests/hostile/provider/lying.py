"""A provider lies to the client that is to sign for it: about its receipt, its result, the parts of it, its machine and its reasons.

What a provider says is signed with its own good key throughout: the signature proves who lies, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from marketplace.api.receipts import ReceiptTold
from marketplace.chain.signing import Key, SigningDomain
from marketplace.client.receipt_checks import OpenServing, ResultFolder, check_receipt, check_result
from marketplace.domain.blocks import BlockRef
from marketplace.domain.bundle_parts import PartStream
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.canonical import parse_json
from marketplace.domain.declines import (
    MOST_DETAIL,
    Decline,
    ObstacleReason,
    SignedDecline,
    decline_from_wire,
    decline_to_wire,
)
from marketplace.domain.errors import DomainError, GatewayError, HashMismatch, InvalidField
from marketplace.domain.ids import Address, Bytes32, OfferId, Sha256, bytes32_of, sha256_of
from marketplace.domain.leases import NO_LEASE, LeaseStatus
from marketplace.domain.limits import PART_BYTES, most_bundle_bytes
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import EndedReason, LogFile, Output, Result
from marketplace.domain.spec import JobSpec, Machine, Resources, read_machine
from marketplace.domain.units import PricePerGpuHour, Seconds, UnixTime
from marketplace.domain.unpacking import unpack_bundle
from marketplace.domain.work import Work
from marketplace.sealing import new_identity, recipient_of
from tests.hostile.gateway.telling import DOMAIN, KEY, ORDER
from tests.hostile.mutations import lies
from tests.hostile.shelf import shelf
from tests.hostile.verdicts import Verdicts
from tests.unit.bundled_trees import LIMIT, crafted, member
from tests.unit.test_unpacking import MALICIOUS

LEASE, OTHER = Bytes32("0x" + "ab" * 32), Bytes32("0x" + "cd" * 32)
STRANGER = Key(bytes([9]) * 32)
BUNDLE, LOG = crafted(member("a", type=b"5"), member("a/model", bytes(3_000))), b"epoch 1\n"
PART = 1024
CUT = tuple(BUNDLE[start : start + PART] for start in range(0, len(BUNDLE), PART))
BLOBS: dict[str, bytes] = {sha256_of(content): content for content in (*CUT, LOG)}
WORK = Work(("true",), "5a" * 32)
SPEC = JobSpec(WORK.name, resources=Resources(disk_mib=1))
LOG_FILE = LogFile(sha256_of(LOG), len(LOG), len(LOG))
RESULT = Result(0, EndedReason.EXITED, (Output("/job/out", len(BUNDLE), tuple(map(sha256_of, CUT))),), LOG_FILE)

OPENED, ELAPSED = UnixTime(1_700_000_000), 40
OPEN = replace(
    NO_LEASE,
    status=LeaseStatus.OPEN,
    offer=OfferId(3),
    price=PricePerGpuHour(1),
    opened_at=OPENED,
    paid_seconds=Seconds(5),
)
SERVING = OpenServing(LEASE, ORDER, OPEN, KEY.address, BlockRef(9, OTHER, UnixTime(OPENED + ELAPSED)))
RECEIPT = Receipt(LEASE, OPEN.offer, OPENED, Seconds(10), bytes32_of(RESULT.sha256), True)


def about_results(folder: Path) -> Verdicts:
    """Every field of the result document, behind a receipt that names just this document."""
    verdicts = Verdicts()
    with shelf(dict(BLOBS)) as api:
        results = ResultFolder(folder, api, PART)
        results.fetch(check_result(RESULT.canonical(), RECEIPT.result, SPEC, WORK), LEASE)
        for about, content in lies(json.loads(RESULT.canonical())):
            try:
                told = check_result(content, bytes32_of(sha256_of(content)), SPEC, WORK)
                results.fetch(told, LEASE)
            except (DomainError, GatewayError) as refusal:
                verdicts.refuse(about, str(refusal))
            except Exception as error:  # noqa: BLE001 - this is what must never happen
                verdicts.wrong(about, error)
            else:
                verdicts.judge(about, is_harmless=_is_within(told), taken=told)
        if strange := {path.name for path in folder.iterdir()} - set(BLOBS):
            verdicts.wrongs.append(f"left behind: {strange}")
    return verdicts


def _is_within(told: Result) -> bool:
    """Whether it speaks of what was asked for, of no more than the order's disk, in words that can be shown."""
    words = [word for output in told.outputs for one in output.left_out for word in (one.path, one.why)]
    is_small = sum(output.bytes for output in told.outputs) <= most_bundle_bytes(SPEC.resources.disk_mib << 20)
    is_asked = {output.path for output in told.outputs} <= set(WORK.outputs) and len(told.outputs) <= len(WORK.outputs)
    is_code = told.exit_code is None or 0 <= told.exit_code <= 255
    return is_small and is_asked and is_code and told.log.bytes <= PART_BYTES and all(map(str.isprintable, words))


def about_receipts() -> Verdicts:
    """Of another lease, offer, serving, market or time, by another key, with another's or no signature, for what is over."""
    check_receipt(signed(RECEIPT), SERVING, DOMAIN)
    verdicts = Verdicts()
    for about, said, serving in _receipts():
        try:
            check_receipt(said, serving, DOMAIN)
        except InvalidField as refusal:
            verdicts.refuse(about, str(refusal))
        except Exception as error:  # noqa: BLE001 - this is what must never happen
            verdicts.wrong(about, error)
        else:
            verdicts.judge(about, is_harmless=False, taken=said)
    return verdicts


def signed(receipt: Receipt, key: Key = KEY, domain: SigningDomain = DOMAIN) -> ReceiptTold:
    return ReceiptTold.of("provider", receipt, key.sign_receipt(receipt, domain), UnixTime(OPENED))


def _receipts() -> Iterator[tuple[str, ReceiptTold, OpenServing]]:
    changes: dict[str, tuple[Any, ...]] = {
        "lease": (OTHER, Bytes32("0x" + "00" * 32)), "offer": (0, 2, 4, 2**40 - 1), "opened_at": (0, OPENED - 1, OPENED + 1, 2**40 - 1),
        "used_seconds": (0, 4, ELAPSED + 1, ORDER.max_seconds, ORDER.max_seconds + 1, 2**40 - 1), "last": (False,),
    }  # fmt: skip
    for name, values in changes.items():
        for value in values:
            yield f"{name} is {value}", signed(replace(RECEIPT, **{name: value})), SERVING
    for domain in (SigningDomain(1, DOMAIN.market), SigningDomain(DOMAIN.chain_id, Address("0x" + "cd" * 20))):
        yield f"for {domain}", signed(RECEIPT, domain=domain), SERVING
    yield "by a stranger", signed(RECEIPT, STRANGER), SERVING
    for about, signature in _signatures(signed(RECEIPT).signature):
        yield f"signature {about}", ReceiptTold.of("provider", RECEIPT, signature, UnixTime(OPENED)), SERVING
    for status in (LeaseStatus.NONE, LeaseStatus.DISPUTED, LeaseStatus.CLOSED):
        yield f"while {status.name}", signed(RECEIPT), replace(SERVING, lease=replace(OPEN, status=status))
    claimed = replace(OPEN, status=LeaseStatus.CLAIMED, claimed_seconds=Seconds(9))
    yield "more than was claimed", signed(RECEIPT), replace(SERVING, lease=claimed)


def _signatures(good: str) -> Iterator[tuple[str, str]]:
    high_s = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 - int(good[66:130], 16)
    yield "high s", f"{good[:66]}{high_s:064x}{55 - int(good[130:], 16):02x}"
    yield from ((f"v {v}", f"{good[:130]}{v:02x}") for v in (0, 1, 26, 29, 255))
    yield from (
        ("cut", good[:-2]),
        ("longer", good + "00"),
        ("compact", good[:130]),
        ("none", ""),
        ("empty", "0x"),
        ("zero", "0x" + "00" * 65),
    )
    yield from (
        ("no hex", "0x" + "zz" * 65),
        ("huge", "0x" + "ab" * 500_000),
        ("text", "\x1b[2J"),
        ("of another", signed(replace(RECEIPT, offer=OfferId(4))).signature),
    )


def about_parts(folder: Path) -> Verdicts:
    """Parts that are missing, changed, swapped, of another size or number, under a result that names them so."""
    verdicts, (output,), blobs = Verdicts(), RESULT.outputs, dict(BLOBS)
    with shelf(blobs) as api:
        for number, (about, told, changed) in enumerate(_parts(output)):
            blobs.clear()
            blobs.update({**BLOBS, **changed})
            _fetch_and_unpack(
                verdicts, about, ResultFolder(folder / f"{number}", api, PART), replace(RESULT, outputs=(told,)), folder
            )
    return verdicts


def _parts(output: Output) -> Iterator[tuple[str, Output, dict[str, bytes]]]:
    first, second, *rest = output.parts
    none = sha256_of(b"nobody has this")
    orders = {
        "swapped": (second, first, *rest),
        "cut": (first, second),
        "more": (*output.parts, none),
        "none": (),
    }
    yield from ((f"parts {about}", replace(output, parts=tuple(parts)), {}) for about, parts in orders.items())
    yield from (
        (f"{size} bytes", replace(output, bytes=size), {})
        for size in (0, 1, output.bytes - 1, output.bytes + 1, output.bytes + PART)
    )
    yield "missing", replace(output, parts=(none, second, *rest)), {}
    contents = (b"", b"x", CUT[0] + b"x", CUT[0][:-1], bytes(PART), CUT[1], b"x" * 3_000_000)
    yield from ((f"first part {content[:4]!r}, {len(content)}", output, {str(first): content}) for content in contents)


def _fetch_and_unpack(verdicts: Verdicts, about: str, results: ResultFolder, told: Result, folder: Path) -> None:
    """As a client does it; afterwards every file is what its name says, or below the folder that it was unpacked into."""
    into = folder / "into" / about.replace("/", " ")
    try:
        results.fetch(told, LEASE)
        with PartStream([results.path(part) for part in told.outputs[0].parts]) as bundle:
            unpack_bundle(bundle, into, Allowance(LIMIT, 100))
    except (InvalidField, HashMismatch, GatewayError) as refusal:
        verdicts.refuse(about, str(refusal))
    except Exception as error:  # noqa: BLE001 - this is what must never happen
        verdicts.wrong(about, error)
    else:
        verdicts.judge(about, is_harmless=False, taken=sorted(into.rglob("*")))
    false = [path for path in results.path(Sha256("")).iterdir() if sha256_of(path.read_bytes()) != path.name]
    if false or into.exists():
        verdicts.wrongs.append(f"{about}: left behind {false or into}")


def about_archives(folder: Path) -> Verdicts:
    """Bundles with everything that no bundle holds, cut into parts whose hashes and sizes are right."""
    verdicts, blobs = Verdicts(), dict[str, bytes]()
    with shelf(blobs) as api:
        for number, (about, archive) in enumerate(MALICIOUS.items()):
            pieces = [archive[start : start + PART] for start in range(0, len(archive), PART)]
            blobs.update({sha256_of(content): content for content in (*pieces, LOG)})
            told = replace(RESULT, outputs=(Output("/job/out", len(archive), tuple(map(sha256_of, pieces))),))
            _fetch_and_unpack(verdicts, about, ResultFolder(folder / f"{number}", api, PART), told, folder)
    return verdicts


def about_machines() -> Verdicts:
    """Every field of a machine's description."""
    honest = Machine("eu", "RTX4090", 24_000, 2, 8, 64_000, 100_000, recipient=recipient_of(new_identity()))
    return _read(json.loads(honest.canonical()), read_machine, _is_machine)


def _is_machine(told: Machine) -> bool:
    numbers = (told.vram_mib, told.gpu_count, told.cpus, told.memory_mib, told.disk_mib)
    texts = (told.region, told.gpu_model)
    return all(0 < number <= 2**32 for number in numbers) and all(
        0 < len(text) <= 64 and text.isprintable() for text in texts
    )


def about_declines() -> Verdicts:
    """Every field of the word with which a lease is given back."""
    decline = SignedDecline(Decline(LEASE, OPENED, ObstacleReason.MACHINE_BUSY, "full"), KEY.sign_text("whatever"))
    return _read(decline_to_wire(decline), lambda content: decline_from_wire(parse_json(content)), _is_decline)


def _is_decline(told: SignedDecline) -> bool:
    said = told.decline
    return len(said.detail) <= MOST_DETAIL and said.detail.isprintable() and 0 <= said.opened_at < 2**40


def _read(document: dict[str, Any], read: Callable[[bytes], Any], is_within: Callable[[Any], bool]) -> Verdicts:
    verdicts = Verdicts()
    for about, content in lies(document):
        try:
            told = read(content)
        except InvalidField as refusal:
            verdicts.refuse(about, str(refusal))
        except Exception as error:  # noqa: BLE001 - this is what must never happen
            verdicts.wrong(about, error)
        else:
            verdicts.judge(about, is_harmless=is_within(told), taken=told)
    return verdicts


def all_of_them(folder: Path) -> dict[str, Verdicts]:
    """Every lie there is, told below an empty folder, by what it is about."""
    return {
        "results": about_results(folder / "results"), "receipts": about_receipts(), "parts": about_parts(folder / "parts"),
        "archives": about_archives(folder / "archives"), "machines": about_machines(), "declines": about_declines(),
    }  # fmt: skip
