"""What a client asked for beside the order itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from marketplace.domain.units import Seconds

NOTHING_UPFRONT = Seconds(0)
OnSilence = Literal["elsewhere", "terminate"]


@dataclass(frozen=True, slots=True)
class JobTerms:
    """What the client asked for beside the order itself; retries are signed by it."""

    retries: int
    expires_in_seconds: Seconds
    silent_after_seconds: Seconds
    """Block time without a sign of life after which the provider is given up; 0: never."""
    on_silence: OnSilence = "elsewhere"
    """Whether a silent provider's lease is kept for its bond while the work is ordered elsewhere, or terminated before."""
    upfront_seconds: Seconds = NOTHING_UPFRONT
    """Of a reservation: what is signed for as soon as it is opened."""


def terms_text(terms: JobTerms) -> str:
    """In the form that the journal keeps: the arguments in their order."""
    return json.dumps(
        (terms.retries, terms.expires_in_seconds, terms.silent_after_seconds, terms.on_silence, terms.upfront_seconds)
    )
