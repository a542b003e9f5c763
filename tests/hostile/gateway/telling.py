"""Tells all lies to the real client of SDK and agent, over a real socket, and judges what comes of each."""

from __future__ import annotations

import dataclasses
import itertools
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from msgspec import Raw, Struct, structs

from marketplace.api.accounts import AccountAnswer, BeatsAnswer, HeartbeatAnswer, ProviderAnswer
from marketplace.api.client.http import Retries, Timeout
from marketplace.api.companies import CompanyAnswer
from marketplace.api.leases import DeclinesAnswer, JobKeyTold, LeaseAnswer, LogEnd, LogLength, LogPiece, OutputsAnswer
from marketplace.api.market import ClassPage, MarketAnswer
from marketplace.api.measurements import MeasurementsAnswer
from marketplace.api.offers import BookAnswer, OfferAnswer, OfferPage
from marketplace.api.orders import ExplanationTold, OrderAnswer
from marketplace.api.problems import ProblemTold
from marketplace.api.quotes import QuotesAnswer
from marketplace.api.receipts import ReceiptsAnswer
from marketplace.api.reservations import ReservationPage
from marketplace.api.rounds import RoundPage
from marketplace.api.ssh import HostKeyTold
from marketplace.api.vaults import LoanAnswer, VaultAnswer, VaultPage
from marketplace.api.warm_images import WarmImageAnswer
from marketplace.chain.signing import Key, SigningDomain
from marketplace.client import GatewayApi
from marketplace.domain.errors import GatewayError
from marketplace.domain.ids import Address, Bytes32, OfferId, Sha256
from marketplace.domain.measurements import MeasuredGpu, Measurement
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import EndedReason, LogFile, Output, Result
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from tests.hostile.gateway import lies
from tests.hostile.gateway.liar import Liar, answer, lying

KEY = Key(bytes([7]) * 32)
WORD, OTHER_WORD = Bytes32("0x" + "ab" * 32), Bytes32("0x" + "cd" * 32)
WHO = Address("0x" + "ab" * 20)
DOMAIN = SigningDomain(31337, WHO)
NOW = UnixTime(1_700_000_000)
IMAGE = Sha256("ab" * 32)
RESULT = Result(0, EndedReason.EXITED, (Output("/job/out", 7, (Sha256("ab" * 32),)),), LogFile(Sha256("cd" * 32), 5))
ORDER = Order(
    WHO, 2, OfferId(0), GpuCount(1), Seconds(60), Seconds(0), PricePerGpuHour(1), Bps(0), UnixTime(0), UnixTime(9), TokenUnits(0), WHO, WHO,
    WHO, WORD, 1,
)  # fmt: skip
MEASURED = Measurement(
    OfferId(1), Sha256("ab" * 32), 7, NOW, "550.54.15", "12.4", (MeasuredGpu("GPU-1", "NVIDIA H200", 143_771),)
)
SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH"
CHUNK = b"epoch 1\n"
MOST_TEXT = 1 << 20

Ask = Callable[[GatewayApi], Any]


@dataclass(frozen=True)
class Question:
    """What the client asks, the record that it reads, and what it has to find in it."""

    ask: Ask
    kind: type
    identities: Mapping[str, Any] = field(default_factory=dict)
    """By path: what was asked for, and has to be said again."""
    given: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    event: str = ""
    """Its name, where the answer is a stream of one."""


@dataclass
class Verdicts:
    """What came of the lies: how many were refused with a typed error, how many harmless, and what was neither."""

    refused: int = 0
    harmless: int = 0
    wrongs: list[str] = field(default_factory=list)

    @property
    def told(self) -> int:
        return self.refused + self.harmless + len(self.wrongs)


def _receipt(lease: Bytes32) -> Receipt:
    return Receipt(lease, OfferId(1), UnixTime(1), Seconds(1), WORD, True)


def _signed(page: ReservationPage) -> list[SignedOrder]:
    """As agents read them."""
    return [told.signed for told in page.items]


def questions() -> dict[str, Question]:
    """Everything that SDK and agent read from a gateway as JSON."""
    lease, page = {"id": WORD}, {"next": None}
    lies.DOCUMENTS["result"] = json.loads(RESULT.canonical())
    lies.DOCUMENTS["measurement"] = MEASURED.document()
    return {
        "market": Question(lambda api: api.market(), MarketAnswer, {"chainId": 31337, "market": WHO}),
        "classes": Question(lambda api: api.classes(), ClassPage, given=page),
        "offers": Question(lambda api: api.offers(), OfferPage, given=page),
        "offer": Question(lambda api: api.offer(OfferId(1)), OfferAnswer, {"id": 1}),
        "measurements": Question(lambda api: api.gpus.measurements([OfferId(1)]), MeasurementsAnswer),
        "book": Question(lambda api: api.waiting(1), BookAnswer, {"class": 1}, page),
        "reservations": Question(lambda api: _signed(api.reservations()), ReservationPage, given=page),
        "quotes": Question(lambda api: api.quotes("RTX4090", max_seconds=Seconds(60)), QuotesAnswer),
        "posted order": Question(lambda api: api.post_order(SignedOrder(WORD, ORDER, "0x")), OrderAnswer, lease),
        "order": Question(lambda api: api.order(WORD), OrderAnswer, lease),
        "explanation": Question(lambda api: api.explanation(WORD), ExplanationTold, {"order": WORD}),
        "lease": Question(lambda api: api.lease(WORD), LeaseAnswer, lease),
        "appended log": Question(lambda api: api.append_log(WORD, 40, CHUNK), LogLength, {"length": 48}),
        "log refused": Question(lambda api: api.append_log(WORD, 40, CHUNK), ProblemTold, given={"length": 7}, status=409),
        "followed log": Question(
            lambda api: list(_first(api.follow_log(WORD, 40))), LogPiece, {"offset": 40}, {"next": 45}, event="log"
        ),
        "end of a log": Question(lambda api: list(api.follow_log(WORD, 40)), LogEnd, {"length": 40}, event="end"),
        "receipts": Question(lambda api: api.receipts(WORD), ReceiptsAnswer, {"receipts.0.receipt.lease": WORD}),
        "declines": Question(lambda api: api.declines(WORD), DeclinesAnswer, {"declines.0.lease": WORD}),
        "job key": Question(lambda api: api.job_key(WORD), JobKeyTold, {"lease": WORD}),
        "outputs": Question(lambda api: api.outputs(WORD), OutputsAnswer, {"lease": WORD}),
        "host key": Question(lambda api: api.host_key(WORD), HostKeyTold, {"lease": WORD}, {"key": SSH_KEY}),
        "heartbeat": Question(lambda api: api.heartbeat(), HeartbeatAnswer),
        "heartbeats": Question(lambda api: api.heartbeats(WHO), BeatsAnswer),
        "warm image": Question(lambda api: tuple(api.warm_at(IMAGE)), WarmImageAnswer, {"image": IMAGE}),
        "account": Question(lambda api: api.account(WHO), AccountAnswer, {"address": WHO}),
        "provider": Question(lambda api: api.provider(WHO), ProviderAnswer, {"address": WHO}),
        "vaults": Question(lambda api: api.vaults(), VaultPage),
        "vault": Question(lambda api: api.vault(WHO), VaultAnswer, {"vault": WHO}),
        "loan": Question(lambda api: api.loan(WHO, 1), LoanAnswer, {"vault": WHO, "loan": 1}),
        "company": Question(lambda api: api.company(WHO), CompanyAnswer, {"spv": WHO}),
        "rounds": Question(lambda api: api.rounds(), RoundPage, given=page),
        "problem": Question(lambda api: api.order(WORD), ProblemTold, status=422),
    }  # fmt: skip


def _first(chunks: Iterator[Any]) -> Iterator[Any]:
    for chunk in chunks:
        yield chunk
        return


def tell(question: Question, *, one_in: int = 1) -> Verdicts:
    """All lies that there are about one answer, or one in so many of them. The honest answer is read, or nothing that follows would say anything."""
    given = {**question.given, **question.identities}
    document = lies.honest(question.kind, given)
    verdicts = Verdicts()
    with lying(lambda connection, head: None) as liar:
        api = GatewayApi(
            liar.url,
            key=KEY,
            domain=DOMAIN,
            block_time=lambda: NOW,
            retries=Retries(attempts=1),
            timeout=Timeout(total_seconds=20),
        )
        _say(liar, question, lies._body(document, (), document))
        if question.status < 400:
            assert sound(question.ask(api)), "the honest answer is not read"
        told = lies.lies(question.kind, document, frozenset(question.identities))
        for lie in itertools.islice(told, 0, None, one_in):
            _say(liar, question, lie.body)
            _judge(verdicts, lie, question, api)
        api.close()
    return verdicts


def _say(liar: Liar, question: Question, body: bytes) -> None:
    if question.event:
        event = b"event: " + question.event.encode() + b"\ndata: " + body.replace(b"\n", b" ") + b"\n\n"
        said = answer(event, Content_Type="text/event-stream")
    else:
        said = answer(body, question.status)

    def speak(connection: socket.socket, head: bytes) -> None:
        connection.sendall(said)

    liar.speech = speak


def _judge(verdicts: Verdicts, lie: lies.Lie, question: Question, api: GatewayApi) -> None:
    """One lie. Whatever is no error of the gateway's own kind would have gone past the nets of who asked."""
    try:
        value = question.ask(api)
    except GatewayError as refusal:
        if len(str(refusal)) > MOST_TEXT:
            verdicts.wrongs.append(f"{lie.about}: refused with {len(str(refusal))} letters")
        verdicts.refused += 1
    except Exception as error:  # noqa: BLE001 - this is what must never happen, whatever it is
        verdicts.wrongs.append(f"{lie.about}: {error!r}"[:300])
    else:
        if lie.breaks_form and question.kind is not ProblemTold:
            verdicts.wrongs.append(f"{lie.about}: taken as {value!r}"[:300])
        elif not sound(value):
            verdicts.wrongs.append(f"{lie.about}: out of bounds in {value!r}"[:300])
        else:
            verdicts.harmless += 1


def sound(value: Any) -> bool:
    """Whether what was read is made of nothing but what belongs there: no number below nothing or beyond a word, no text without end."""
    match value:
        case None | bool() | Enum():
            return True
        case int():
            return 0 <= value < 1 << 256
        case str() | bytes():
            return len(value) <= MOST_TEXT
        case Mapping():
            return all(sound(item) for pair in value.items() for item in pair)
        case tuple() | list():
            return all(map(sound, value))
        case Raw():
            return len(bytes(value)) <= MOST_TEXT
        case Struct():
            return all(map(sound, structs.astuple(value)))
    return dataclasses.is_dataclass(value) and all(sound(getattr(value, one.name)) for one in dataclasses.fields(value))
