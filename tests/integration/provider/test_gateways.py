"""An agent that speaks to several gateways: a hostile one in front keeps nothing from the honest one behind it."""

from __future__ import annotations

from marketplace.chain.request_signing import HEARTBEAT_PATH
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.spec import Resources
from tests.integration.provider.hostile import hostile
from tests.integration.provider.stage import Stage

MAKES = ("python", "-c", "print(open('/job/in/hello.txt').read()); open('/job/out/a', 'w').write('made')")


def test_a_gateway_that_takes_all_and_keeps_it_hides_nothing(stage: Stage) -> None:
    """It says that it has every blob, takes every receipt, and shows none: spec, inputs, log, outputs and both
    signatures go by way of the other one, and the lease is settled for all of its seconds."""
    with hostile(stage.gateway.url) as gateway:

        def swallow(method: str, path: str) -> tuple[int, bytes] | None:
            if method == "POST" and path.endswith("/receipts"):
                return 201, b"{}"
            return (404 if method == "GET" else 200), b"{}"

        gateway.lie = swallow
        agent = stage.agent(gateway_url=f"{gateway.url} {stage.gateway.url}")
        signed = stage.lease(agent, *MAKES)
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "it is settled", signs=True)
        (serving,) = stage.journal(agent).servings()

    assert serving.used_seconds
    stage.check_paid_once(signed, serving.used_seconds)
    assert stage.log_of(signed.id) == "hello\n"
    (output,) = stage.result(signed.id).outputs
    assert all(stage.client_api.fetch_blob(part, lease=signed.id) for part in output.parts)


def test_outputs_that_one_refuses_are_offered_to_the_other(stage: Stage) -> None:
    """While one says that they are too large and the other is away, the work is owed and its receipt kept back; it is
    delivered as soon as one of them takes it."""
    with hostile(stage.gateway.url) as full, hostile(stage.gateway.url) as away:
        full.lie = lambda method, path: (413, b"{}") if method == "PUT" and "/blobs/" in path else None
        agent = stage.agent(gateway_url=f"{full.url} {away.url}", patience_seconds=10)
        signed = stage.order(stage.spec(*MAKES))
        stage.open(signed, stage.listed(agent))
        away.is_away = True
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLAIMED, "the lease is claimed")
        (attendance,) = agent._attendances.values()
        assert not attendance.is_delivered
        assert not any(path.endswith("/receipts") and method == "POST" for method, path, _ in full.seen)
        away.is_away = False
        stage.until(agent, lambda: attendance.is_delivered, "the other takes them in the challenge window")

    # The first may have come to hold them, too: both stand before one store, and it is asked again what it lacks.
    assert away.url in {line.url for line in attendance.holders}
    assert stage.client_api.outputs(signed.id).result.exit_code == 0


def test_a_decline_a_machine_and_a_beat_are_told_to_all(stage: Stage) -> None:
    """Whichever gateway a client or a scheduler reads, it finds the provider's machine, its sign of life, and its word."""
    with hostile(stage.gateway.url) as first, hostile(stage.gateway.url) as second:
        agent = stage.agent(gateway_url=f"{first.url} {second.url}")
        signed = stage.order(stage.spec("true", resources=Resources(memory_mib=4097)))
        stage.open(signed, stage.listed(agent))

        def told() -> bool:
            return all(
                any(method == "POST" and path.endswith("/declines") for method, path, _ in gateway.seen)
                for gateway in (first, second)
            )

        stage.until(agent, told, "both are told")

    for gateway in (first, second):
        assert any("/v1/blobs/" in path for _, path, _ in gateway.seen)
        assert any((method, path) == ("POST", HEARTBEAT_PATH) for method, path, _ in gateway.seen)
