"""A client's signature on a receipt is money. Here providers and gateways lie about everything; nothing may ever be signed for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from marketplace.chain.signing import receipt_id, recover
from marketplace.client import Job, JobReason, JobState
from marketplace.domain.ids import Sha256, bytes32_of, sha256_of
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import Output, Result
from tests.integration.client.conftest import Crash, Desk, Play, receipts_answer
from tests.integration.gateway.conftest import CLIENT, STRANGER, Gateway

Lie = Callable[[Play, Job, Result, list[bytes]], tuple[Receipt, Result, list[bytes]]]
"""What a provider signs, what it says the result is, and the blobs that it leaves."""


def _too_many_seconds(play: Play, job: Job, result: Result, blobs: list[bytes]) -> tuple[Receipt, Result, list[bytes]]:
    elapsed = play.gateway.now() - play.gateway.market.lease_of(job.id).opened_at
    return play.receipt(job, elapsed + 1, result), result, blobs


def _another_serving(play: Play, job: Job, result: Result, blobs: list[bytes]) -> tuple[Receipt, Result, list[bytes]]:
    receipt = play.receipt(job, 5, result)
    return replace(receipt, opened_at=receipt.opened_at - 1), result, blobs


def _another_offer(play: Play, job: Job, result: Result, blobs: list[bytes]) -> tuple[Receipt, Result, list[bytes]]:
    return play.receipt(job, 5, result, offer=play.other_offer.id), result, blobs


def _another_lease(play: Play, job: Job, result: Result, blobs: list[bytes]) -> tuple[Receipt, Result, list[bytes]]:
    return play.receipt(job, 5, result, lease=bytes32_of(sha256_of(b"another lease"))), result, blobs


def _another_result(play: Play, job: Job, result: Result, blobs: list[bytes]) -> tuple[Receipt, Result, list[bytes]]:
    return play.receipt(job, 5, replace(result, exit_code=1)), result, blobs


def _another_size(play: Play, job: Job, result: Result, blobs: list[bytes]) -> tuple[Receipt, Result, list[bytes]]:
    (output,) = result.outputs
    wrong = replace(result, outputs=(replace(output, bytes=output.bytes + 1),))
    return play.receipt(job, 5, wrong), wrong, blobs


def _changed_blob(play: Play, job: Job, result: Result, blobs: list[bytes]) -> tuple[Receipt, Result, list[bytes]]:
    bundle, log = blobs
    return play.receipt(job, 5, result), result, [bundle[:-1] + b"!", log]


def _changed_log(play: Play, job: Job, result: Result, blobs: list[bytes]) -> tuple[Receipt, Result, list[bytes]]:
    return play.receipt(job, 5, result), result, [blobs[0], b"another log"]


def _output_nobody_asked_for(
    play: Play, job: Job, result: Result, blobs: list[bytes]
) -> tuple[Receipt, Result, list[bytes]]:
    more = Output("/job/more", result.outputs[0].bytes, result.outputs[0].parts)
    wrong = replace(result, outputs=(*result.outputs, more))
    return play.receipt(job, 5, wrong), wrong, blobs


LIES: list[tuple[Lie, str]] = [
    (_too_many_seconds, "receipt.usedSeconds"),
    (_another_offer, "receipt.offer"),
    (_another_lease, "receipt.lease"),
    (_another_result, "the result document"),
    (_another_size, "result.outputs"),
    (_changed_blob, "blob"),
    (_changed_log, "blob"),
    (_output_nobody_asked_for, "result.outputs"),
]


def _tell(desk: Desk, play: Play, job: Job, lie: Lie) -> None:
    """The gateway and the provider tell this lie together, with the provider's good signature."""
    honest, blobs = play.result()
    names = [honest.outputs[0].parts[0], honest.log.sha256]
    receipt, result, left = lie(play, job, honest, blobs)

    def tamper(request: httpx.Request, content: bytes) -> bytes | None:
        path = request.url.path
        if path.endswith("/receipts") and request.method == "GET":
            return receipts_answer(play.said(receipt))
        if path.endswith("/outputs"):
            told = {"resultSha256": result.sha256, "result": json.loads(result.canonical()), "blobs": {}}
            return json.dumps({"lease": job.orders[-1], **told}).encode()
        for name, blob in zip(names, left, strict=True):
            if path.endswith(f"/blobs/{name}"):
                return blob
        return None

    desk.line.tampers.append(tamper)
    for blob in blobs:
        play.api.put_blob(blob)
    # The outputs' endpoint answers 404 until a provider has posted something; let it be there.
    play.hand_in(job, 0)


@pytest.mark.parametrize(("lie", "named"), LIES, ids=[lie.__name__.strip("_") for lie, _ in LIES])
def test_a_lie_is_never_signed(desk: Desk, play: Play, running: Job, lie: Lie, named: str) -> None:
    """Whatever does not hold is not signed, the job runs on, and its note names what is wrong."""
    _tell(desk, play, running, lie)

    for _ in range(3):
        desk.step()

    assert desk.signatures_sent() == []
    assert desk.market.book.last_receipt(running.id) is None
    assert running.state is JobState.RUNNING
    (attempt,) = running.attempts()
    assert named in attempt.note


def test_a_receipt_of_another_serving_is_not_even_looked_at(desk: Desk, play: Play, running: Job) -> None:
    """A receipt whose openedAt is not the chain's is as good as none."""
    _tell(desk, play, running, _another_serving)

    desk.step()

    assert desk.signatures_sent() == []
    assert desk.market.book.last_receipt(running.id) is None
    assert running.state is JobState.RUNNING


def test_a_strangers_receipt_is_never_signed(desk: Desk, play: Play, running: Job) -> None:
    """Only the signature of the provider that the chain names counts, not the one that the gateway shows."""
    honest, _ = play.result()
    receipt = play.receipt(running, 5, honest)
    play.hand_in(running, 5)
    desk.line.tampers.append(
        lambda request, _: receipts_answer(play.said(receipt, STRANGER)) if "/receipts" in request.url.path else None
    )

    desk.step()

    assert desk.signatures_sent() == []
    assert "receipt.signature" in running.attempts()[0].note


def test_a_progress_receipt_is_left_alone(desk: Desk, play: Play, running: Job) -> None:
    """A receipt with last = false would pay without ending anything; this client does not sign those."""
    honest, _ = play.result()
    said = play.said(play.receipt(running, 5, honest, last=False))
    desk.line.tampers.append(
        lambda request, _: receipts_answer(said) if request.url.path.endswith("/receipts") else None
    )

    desk.step()

    assert desk.signatures_sent() == []
    assert running.state is JobState.RUNNING


def test_too_many_seconds_become_right_with_time(desk: Desk, play: Play, running: Job) -> None:
    """What block time does not allow yet is looked at again in the next block, and signed when it does."""
    _tell(desk, play, running, _too_many_seconds)
    desk.step()
    assert desk.signatures_sent() == []

    play.pass_time(1)
    desk.step()

    assert len(desk.signatures_sent()) == 1
    assert running.state is JobState.SUCCEEDED


def test_an_honest_receipt_is_signed_once(desk: Desk, play: Play, gateway: Gateway, running: Job) -> None:
    """What holds is signed, journalled and posted, and the job has its result."""
    receipt = play.hand_in(running, 5)

    desk.step()
    desk.step()

    (posted,) = desk.signatures_sent()
    assert recover(receipt_id(receipt, gateway.domain), posted["signature"]) == CLIENT.address
    assert running.state is JobState.SUCCEEDED
    assert running.history[-1].reason is JobReason.RESULT_VERIFIED
    assert running.result().used_seconds == 5
    assert running.result().is_countersigned


def test_a_job_that_failed_is_signed_all_the_same(desk: Desk, play: Play, running: Job) -> None:
    """An exit code other than 0 is a result: it was metered, it is verified, it is paid for."""
    play.hand_in(running, 7, exit_code=3)

    desk.step()

    assert running.state is JobState.FAILED
    assert running.result().exit_code == 3
    assert len(desk.signatures_sent()) == 1


def test_a_crash_between_signing_and_posting_loses_no_signature(desk: Desk, play: Play, running: Job) -> None:
    """The signature is in the journal before it is handed out; after a restart the very same one is posted."""
    play.hand_in(running, 5)
    desk.line.crash_before = "POST /v1/leases"
    with pytest.raises(Crash):
        desk.step()
    kept = desk.market.book.last_receipt(running.id)
    assert kept is not None
    assert not kept.is_posted

    reborn = desk.again()
    reborn.step()

    (posted,) = reborn.signatures_sent()
    assert posted["signature"] == kept.signature
    assert reborn.market.job(running.id).state is JobState.SUCCEEDED


def test_blobs_that_are_not_there_yet_are_waited_for(desk: Desk, play: Play, running: Job) -> None:
    """A missing blob is no lie: nothing is signed, nothing is given up, and it is signed when the blob arrives."""
    play.hand_in(running, 5)
    gone = {"is": True}

    def tamper(request: httpx.Request, content: bytes) -> bytes | None:
        return b"" if gone["is"] and "/blobs/" in request.url.path and request.method == "GET" else None

    desk.line.tampers.append(tamper)
    desk.step()
    assert desk.signatures_sent() == []
    assert running.state is JobState.RUNNING

    gone["is"] = False
    desk.step()

    assert running.state is JobState.SUCCEEDED


__all__ = ["Sha256"]
