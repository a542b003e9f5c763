"""API10:2023, unsafe consumption of APIs: what the gateway's neighbours and its own disk tell is not believed as it comes."""

from __future__ import annotations

from redis import Redis

from marketplace.domain.ids import bytes32_of
from tests.integration.gateway.conftest import CLIENT, STRANGER, Gateway
from tests.integration.gateway.owasp.conftest import Private


def test_a_file_that_rotted_is_not_read_for_what_it_was(gateway: Gateway, private: Private) -> None:
    """A spec or a work whose bytes changed on the disk is refused by its hash: no order is taken on its word."""
    work = gateway.work(salt="0d" * 32)
    spec = gateway.spec(work=work.name)
    for name, content in ((work.name.sha256, work.canonical()), (spec.sha256, spec.canonical())):
        (file,) = gateway.blobs.path.rglob(name)
        file.chmod(0o600)
        file.write_bytes(content.replace(b"0d0d", b"0e0e").replace(b'"gpus":1', b'"gpus":2'))

        told = gateway.post_order(gateway.signed(spec=bytes32_of(spec.sha256)))

        assert (told.status_code, told.json()["reason"]) == (422, "HashMismatch")
        file.write_bytes(content)
    assert gateway.post_order(gateway.signed(spec=bytes32_of(spec.sha256))).status_code == 201


def test_what_redis_says_opens_nothing(gateway: Gateway, private: Private) -> None:
    """Who is a party is read from the journal and the chain: a board that somebody wrote to makes nobody one."""
    path = f"/v1/leases/{private.lease.id}/outputs"
    with Redis.from_url(gateway.redis.url) as redis:
        (leases,) = [key for key in redis.keys("*projection:leases") if redis.type(key) == b"hash"]
        kept = redis.hgetall(leases)
        for field, value in kept.items():
            redis.hset(leases, field, value.replace(CLIENT.address.encode(), STRANGER.address.encode()))
        told = {key.address: gateway.read(key, path).status_code for key in (CLIENT, STRANGER)}
        for field, value in kept.items():
            redis.hset(leases, field, value)

    assert told == {CLIENT.address: 200, STRANGER.address: 404}
