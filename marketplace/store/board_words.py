"""What parties say of their offers and leases, each signed or sealed by whoever said it: kept as it came, and forgotten after a while."""

from __future__ import annotations

import json
from collections.abc import Sequence

from marketplace.domain.declines import SignedDecline, decline_from_wire, decline_to_wire
from marketplace.domain.ids import Address, Bytes32, OfferId, Sha256
from marketplace.domain.measurements import SignedMeasurement, read_measurement
from marketplace.domain.ssh import HostKey, SignedHostKey
from marketplace.domain.units import UnixTime
from marketplace.store import board_keys as keys
from marketplace.store.board_connection import RedisConnection
from marketplace.store.board_rows import text_of

EXPLANATION_KEPT_SECONDS = 7 * 24 * 3600
MEASUREMENT_KEPT_SECONDS = 24 * 3600
WARM_IMAGES_KEPT_SECONDS = 900
JOB_KEY_KEPT_SECONDS = 7 * 24 * 3600


class BoardWords:
    """That part of the board. Every method raises StoreUnavailable when Redis does not answer."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis

    # Measurements

    def keep_measurement(self, signed: SignedMeasurement) -> None:
        """A provider's newest word about an offer: it stands for a day, and as long as the agent repeats it."""
        row = {"measurement": signed.measurement.document(), "signature": signed.signature}
        key = keys.measurement(signed.measurement.offer)
        self._redis.call("SET", key, text_of(row), "EX", MEASUREMENT_KEPT_SECONDS)

    def measurements_of(self, offers: Sequence[OfferId]) -> tuple[SignedMeasurement | None, ...]:
        """What was said of each of these, in this order."""
        if not offers:
            return ()
        texts = self._redis.call("MGET", *map(keys.measurement, offers))
        rows = [json.loads(text) if text else None for text in texts]
        return tuple(row and SignedMeasurement(read_measurement(row["measurement"]), row["signature"]) for row in rows)

    # Which images providers have

    def keep_warm_images(self, provider: Address, images: Sequence[Sha256]) -> None:
        """In the place of what it said before; forgotten where it does not repeat it."""
        self._redis.call("SET", keys.warm_images(provider), " ".join(images), "EX", WARM_IMAGES_KEPT_SECONDS)

    def warm_images_of(self, providers: Sequence[Address]) -> dict[Address, frozenset[str]]:
        """What each of them said last; those that said nothing lately are left out."""
        texts = self._redis.call("MGET", *map(keys.warm_images, providers)) if providers else ()
        return {
            provider: frozenset(text.decode().split()) for provider, text in zip(providers, texts, strict=True) if text
        }

    # How busy jobs and their GPUs are

    def keep_gpu_samples(self, lease: Bytes32, samples: Sequence[bytes], most: int) -> None:
        """Behind those that are there, of which the newest stay, ``most`` together."""
        self._keep_samples(keys.gpu_samples(lease), samples, most)

    def gpu_samples(self, lease: Bytes32) -> list[bytes]:
        """As they were kept, oldest first."""
        return list(self._redis.call("LRANGE", keys.gpu_samples(lease), 0, -1))

    def keep_job_samples(self, lease: Bytes32, samples: Sequence[bytes], most: int) -> None:
        """The same of what the job uses of processors and memory."""
        self._keep_samples(keys.job_samples(lease), samples, most)

    def job_samples(self, lease: Bytes32) -> list[bytes]:
        """As they were kept, oldest first."""
        return list(self._redis.call("LRANGE", keys.job_samples(lease), 0, -1))

    def _keep_samples(self, key: str, samples: Sequence[bytes], most: int) -> None:
        self._redis.together(
            [("RPUSH", key, *samples), ("LTRIM", key, -most, -1), ("EXPIRE", key, MEASUREMENT_KEPT_SECONDS)]
        )

    # Declines

    def keep_decline(self, provider: Address, signed: SignedDecline) -> bool:
        """What the provider says about one opening; False where it has said something about it before, which stays."""
        key, field = keys.declines(signed.decline.lease), f"{provider}@{signed.decline.opened_at}"
        put, _ = self._redis.together(
            [("HSETNX", key, field, text_of(decline_to_wire(signed))), ("EXPIRE", key, EXPLANATION_KEPT_SECONDS)]
        )
        return bool(put)

    def declines_of(self, leases: Sequence[Bytes32]) -> dict[Bytes32, tuple[SignedDecline, ...]]:
        """What providers have said about their openings of these orders; whether it is theirs is not looked at here."""
        found = self._redis.together([("HVALS", keys.declines(lease)) for lease in leases]) if leases else []
        rows = zip(leases, found, strict=True)
        return {lease: tuple(decline_from_wire(json.loads(text)) for text in texts) for lease, texts in rows}

    # Keys of sealed jobs

    def keep_job_key(self, lease: Bytes32, sealed: str) -> None:
        """The newest one takes the place of the one before."""
        self._redis.call("SET", keys.job_key(lease), sealed, "EX", JOB_KEY_KEPT_SECONDS)

    def job_key(self, lease: Bytes32) -> str | None:
        """What the client's side has left for the lease's provider."""
        found = self._redis.call("GET", keys.job_key(lease))
        return found.decode() if found else None

    # Keys of machines

    def keep_host_key(self, signed: SignedHostKey) -> None:
        """The newest one takes the place of the one before."""
        said = signed.host_key
        text = text_of({"key": said.key, "validUntil": said.valid_until, "signature": signed.signature})
        self._redis.call("SET", keys.host_key(said.lease), text, "EX", JOB_KEY_KEPT_SECONDS)

    def host_key(self, lease: Bytes32) -> SignedHostKey | None:
        """What the lease's provider has left."""
        found = self._redis.call("GET", keys.host_key(lease))
        if not found:
            return None
        told = json.loads(found)
        return SignedHostKey(HostKey(lease, told["key"], UnixTime(told["validUntil"])), told["signature"])
