"""Why a provider gave a lease back, in its own signed word: what a client is told, and whether a scheduler lets the pair rest.

The contract knows that a lease was declined, not why. The word is kept by gateways and believed by nobody without the signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32, bytes32
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import signature_from_wire

MOST_DETAIL = 400
"""Characters of a decline's detail."""


class ObstacleReason(StrEnum):
    """Why a lease is declined, or, when it is too late for that, ended with nothing to pay."""

    OFFER_NOT_IN_INVENTORY = "offer_not_in_inventory"
    SPEC_NOT_DELIVERED = "spec_not_delivered"
    SPEC_INVALID = "spec_invalid"
    IMAGE_NOT_SUPPORTED = "image_not_supported"
    """The provider's machine can run no images."""
    IMAGE_NOT_FOUND = "image_not_found"
    """Nobody who should have it hands it out, or not in time."""
    IMAGE_TOO_BIG = "image_too_big"
    IMAGE_REFUSED = "image_refused"
    """It breaks a rule, or is of a registry that the provider does not pull from."""
    IMAGE_ARCH = "image_arch"
    """It is for machines of another kind."""
    NETWORK_NOT_OFFERED = "network_not_offered"
    """Jobs have no network there, or may not send and receive as much."""
    CHECKPOINT_NOT_SUPPORTED = "checkpoint_not_supported"
    OUTPUT_NOT_SUPPORTED = "output_not_supported"
    GPUS_DIFFER = "gpus_differ"
    NOT_ENOUGH_VRAM = "not_enough_vram"
    NOT_ENOUGH_CPUS = "not_enough_cpus"
    NOT_ENOUGH_MEMORY = "not_enough_memory"
    NOT_ENOUGH_DISK = "not_enough_disk"
    WRONG_REGION = "wrong_region"
    PROVIDER_EXCLUDED = "provider_excluded"
    KEY_NOT_DELIVERED = "key_not_delivered"
    """The client has not handed over the key of its sealed job, or its secrets, or they do not fit."""
    SEALED_NOT_SUPPORTED = "sealed_not_supported"
    INPUT_NOT_DELIVERED = "input_not_delivered"
    INPUT_CORRUPT = "input_corrupt"
    INPUT_INVALID = "input_invalid"
    MACHINE_BUSY = "machine_busy"
    MACHINE_FAILED = "machine_failed"
    """The provider's own disk or memory gave out."""
    SANDBOX_FAILED = "sandbox_failed"
    NO_COIN_FOR_GAS = "no_coin_for_gas"
    """The provider could not pay for the transactions that a lease takes."""
    PROVIDER_WAS_AWAY = "provider_was_away"
    """Longer than a client waits for a sign of life, and the job did not survive it."""
    OUT_OF_TIME = "out_of_time"
    LEAVING = "leaving"
    """The provider is being stopped."""

    @property
    def is_about_pair(self) -> bool:
        """Whether this provider would decline this order again. What a gateway did not deliver says nothing about either."""
        return self not in _OF_THE_GATEWAY


_OF_THE_GATEWAY = frozenset(
    {
        ObstacleReason.SPEC_NOT_DELIVERED,
        ObstacleReason.KEY_NOT_DELIVERED,
        ObstacleReason.INPUT_NOT_DELIVERED,
        ObstacleReason.INPUT_CORRUPT,
        ObstacleReason.IMAGE_NOT_FOUND,
    }
)


@dataclass(frozen=True, slots=True)
class Decline:
    """One serving that was given back, and why."""

    lease: Bytes32
    opened_at: UnixTime
    reason: ObstacleReason
    detail: str
    """One line, for people."""


@dataclass(frozen=True, slots=True)
class SignedDecline:
    """A decline with its provider's signature (``chain.statements``)."""

    decline: Decline
    signature: str


def one_line(detail: str) -> str:
    """What a decline may say in its own words: one printable line, cut where it is too long."""
    return "".join(sign if sign.isprintable() else " " for sign in detail)[:MOST_DETAIL].strip()


def decline_to_wire(signed: SignedDecline) -> dict[str, object]:
    told = signed.decline
    return {
        "lease": told.lease, "openedAt": told.opened_at, "reason": str(told.reason), "detail": told.detail,
        "signature": signed.signature,
    }  # fmt: skip


def decline_from_wire(value: object) -> SignedDecline:
    """Raises InvalidField."""
    if not isinstance(value, dict) or set(value) != {"lease", "openedAt", "reason", "detail", "signature"}:
        raise InvalidField("decline", "must have exactly lease, openedAt, reason, detail and signature")
    opened_at, detail = value["openedAt"], value["detail"]
    if not isinstance(opened_at, int) or isinstance(opened_at, bool) or not 0 <= opened_at < 1 << 40:
        raise InvalidField("decline.openedAt", "must be a block time")
    if not isinstance(detail, str) or detail != one_line(detail):
        raise InvalidField("decline.detail", f"must be one printable line of at most {MOST_DETAIL} characters")
    try:
        reason = ObstacleReason(value["reason"])
    except ValueError:
        raise InvalidField("decline.reason", f"must be one of {', '.join(ObstacleReason)}") from None
    lease = bytes32(value["lease"], field="decline.lease")
    signature = signature_from_wire(value["signature"])
    return SignedDecline(Decline(lease, UnixTime(opened_at), reason, detail), signature)
