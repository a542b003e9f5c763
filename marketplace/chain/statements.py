"""What a provider says and signs beside receipts: why it gave a lease back, its machine's key, what GPUs it saw. As text that people can read (EIP-191)."""

from __future__ import annotations

from marketplace.chain.signing import Key, SigningDomain, message_text, recover_text
from marketplace.domain.declines import Decline
from marketplace.domain.ids import Address
from marketplace.domain.measurements import Measurement
from marketplace.domain.ssh import HostKey


def decline_text(decline: Decline, domain: SigningDomain) -> str:
    """The message that is signed: good for one opening of one lease of one market."""
    return message_text(
        "decline",
        f"Lease: {decline.lease}",
        f"Opened at: {decline.opened_at}",
        f"Reason: {decline.reason}",
        f"Detail: {decline.detail}",
        domain=domain,
    )


def sign_decline(key: Key, decline: Decline, domain: SigningDomain) -> str:
    return key.sign_text(decline_text(decline, domain))


def decliner_of(decline: Decline, signature: str, domain: SigningDomain) -> Address | None:
    """Who signed this decline; None where the signature is none."""
    return recover_text(decline_text(decline, domain), signature)


def host_key_text(said: HostKey, domain: SigningDomain) -> str:
    """The message that is signed: good for one lease of one market, until a block time."""
    return message_text(
        "host key", f"Lease: {said.lease}", f"Host key: {said.key}", f"Valid until: {said.valid_until}", domain=domain
    )


def measurement_text(measurement: Measurement, domain: SigningDomain) -> str:
    """The message that is signed: good for one offer of one market at one block."""
    return message_text(
        "measurement",
        f"Offer: {measurement.offer}",
        f"Block: {measurement.block}",
        f"Document: {measurement.sha256}",
        domain=domain,
    )


def sign_host_key(key: Key, said: HostKey, domain: SigningDomain) -> str:
    return key.sign_text(host_key_text(said, domain))


def host_key_signer(said: HostKey, signature: str, domain: SigningDomain) -> Address | None:
    """Who signed this host key; None where the signature is none."""
    return recover_text(host_key_text(said, domain), signature)


def sign_measurement(key: Key, measurement: Measurement, domain: SigningDomain) -> str:
    return key.sign_text(measurement_text(measurement, domain))


def measurer_of(measurement: Measurement, signature: str, domain: SigningDomain) -> Address | None:
    """Who signed this measurement; None where the signature is none."""
    return recover_text(measurement_text(measurement, domain), signature)
