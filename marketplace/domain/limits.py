"""Every limit on what travels beside the chain, in one place.

The SDK checks them before an order is signed, gateway and agent obey them, quotes tell them, and docs/reference/job-spec.md quotes
them. There are no others: what fits these limits and the order's own resources is delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
PART_BYTES: Final = 64 * MIB
"""Bundles of files are cut into parts of this size; the last one is what is left."""
MAX_PARTS: Final = 8192
"""Of one job's inputs in all, and of its outputs in all: half a tebibyte."""
MAX_FILES: Final = 100_000
"""Files and folders, in all inputs of one job, and in all its outputs."""
MAX_DEPTH: Final = 64
"""How many folders deep a file may lie: bounds open folders, and deeper trees are not made by accident."""
MAX_NAME_BYTES: Final = 4_000
MAX_NAME_PART_BYTES: Final = 255
MAX_INPUTS: Final = 64
MAX_OUTPUTS: Final = 16
MAX_SPEC_BYTES: Final = 64 * 1024
MAX_WORK_BYTES: Final = MIB
MAX_VARIABLES: Final = 1_024
"""In a job's environment; a sandbox is told each of them, and takes 9,000 words in all."""
MAX_SECRETS: Final = 16
MAX_SECRET_BYTES: Final = 32 * 1024
"""Of all secrets of a job: they travel sealed, in one small text."""
MAX_ENTRUSTED_LETTERS: Final = 64 * 1024
"""Of that text: the secrets and a key, in base64, sealed, and armored."""
MAX_WORD_BYTES: Final = 128_000
"""Of a word of the command, and of a variable with its name: Linux takes 131,071."""
MAX_JOB_NAME_LETTERS: Final = 200
MAX_RESULT_BYTES: Final = 960 * 1024
MAX_LEFT_OUT: Final = 200
"""How many files that were not delivered a result names one by one; it counts the rest."""
MAX_LOG_BYTES: Final = 16 * MIB
"""What is kept of a job's log: half from its beginning, half from its end. Printing more ends no job."""


MAX_CONTENT_BYTES: Final = (MAX_PARTS - 2 * MAX_INPUTS) * PART_BYTES
"""Of the files in all inputs, and in all outputs, whatever the order's disk: with their headers these make MAX_PARTS parts at most."""
_MOST_SEAL_HEADER_BYTES: Final = 4096
_MOST_HEADER_BYTES: Final = 6 * 1024
"""Of one file or folder in a bundle, padding included: two headers and the longest name."""


def most_bundle_bytes(content_bytes: int) -> int:
    """How long bundles may be, all together, whose files hold so many bytes."""
    return content_bytes + MAX_FILES * _MOST_HEADER_BYTES


def most_sealed_bytes(plain_bytes: int) -> int:
    """How long so many bytes of outputs may be once they are sealed (age): 16 bytes for each 64 KiB, and a header for each."""
    return plain_bytes + (plain_bytes >> 16) * 16 + MAX_OUTPUTS * _MOST_SEAL_HEADER_BYTES


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit, as documents and quotes tell it."""

    name: str
    value: int
    unit: str
    meaning: str


LIMITS: Final = (
    Limit("part_bytes", PART_BYTES, "bytes", "size of the parts that inputs and outputs are cut into and sent in"),
    Limit("parts", MAX_PARTS, "parts", "of all inputs of a job, and of all its outputs"),
    Limit(
        "content_bytes",
        MAX_CONTENT_BYTES,
        "bytes",
        "in all inputs, and in all outputs; no more than the order's disk either",
    ),
    Limit("files", MAX_FILES, "files and folders", "in all inputs of a job, and in all its outputs"),
    Limit("depth", MAX_DEPTH, "folders", "above a file"),
    Limit("name_bytes", MAX_NAME_BYTES, "bytes", "of a file's name with all its folders"),
    Limit("name_part_bytes", MAX_NAME_PART_BYTES, "bytes", "of a name between slashes"),
    Limit("inputs", MAX_INPUTS, "inputs", "of a job"),
    Limit("outputs", MAX_OUTPUTS, "outputs", "of a job; none within another"),
    Limit("spec_bytes", MAX_SPEC_BYTES, "bytes", "of a spec"),
    Limit("work_bytes", MAX_WORK_BYTES, "bytes", "of a work document"),
    Limit("variables", MAX_VARIABLES, "variables", "in the environment of a job"),
    Limit("word_bytes", MAX_WORD_BYTES, "bytes", "of a word of the command, and of a variable with its name"),
    Limit("secrets", MAX_SECRETS, "secrets", "of a job"),
    Limit("secret_bytes", MAX_SECRET_BYTES, "bytes", "of all secrets of a job"),
    Limit("result_bytes", MAX_RESULT_BYTES, "bytes", "of a result document"),
    Limit("left_out", MAX_LEFT_OUT, "files", "that a result names one by one as left out; it counts the rest"),
    Limit("log_bytes", MAX_LOG_BYTES, "bytes", "kept of a log: half from its beginning, half from its end"),
)


def limits_document() -> dict[str, int]:
    """All limits by name."""
    return {limit.name: limit.value for limit in LIMITS}
