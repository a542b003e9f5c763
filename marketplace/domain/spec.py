"""The documents that travel beside the chain: job specs and machine descriptions. Read strictly, written canonically.

Only their sha256 is on the chain. Unknown keys are refused, so that nobody is misled by a field that nothing obeys.
A spec is public: it says what scheduling and auditing must see. What is to be run is the work, a document of its own that
the spec names by hash and that only the lease's parties read (``domain.work``).
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Literal

from marketplace.domain.bundle_rules import checked_name
from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.egress import MAX_EGRESS_MIB, MAX_TARGETS, read_targets
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address, Sha256, address, sha256, sha256_of
from marketplace.domain.images import HOST_IMAGE, ImageName, read_image
from marketplace.domain.json_reader import Reader
from marketplace.domain.keeping import SessionTerms, read_session
from marketplace.domain.limits import MAX_SPEC_BYTES, MAX_WORK_BYTES
from marketplace.domain.ssh import MOST_SSH_KEYS, checked_ssh_key

SPEC_VERSION = 2
MACHINE_VERSION = 1
MAX_NODES = 64
JOB_IN = "/job/in"
JOB_OUT = "/job/out"

_REGION = re.compile(r"^[a-z0-9-]{1,32}$")
_GROUP = re.compile(r"^[0-9a-f]{64}$")
_RECIPIENT = re.compile(r"^age1[02-9ac-hj-np-z]{58}$")
_MODEL_LETTERS = 64


@dataclass(frozen=True, slots=True)
class WorkName:
    """The work document that a spec stands for: its hash, and its size in bytes."""

    sha256: Sha256
    bytes: int


@dataclass(frozen=True, slots=True)
class Resources:
    """What the job needs of one machine. ``gpus`` must equal the order's."""

    gpus: int = 1
    vram_mib: int = 0
    cpus: int = 1
    memory_mib: int = 1024
    disk_mib: int = 1024
    egress_mib: int = 0
    """How much a job that may connect out sends and receives at most; 0: it may not."""


@dataclass(frozen=True, slots=True)
class Constraints:
    """Where the job may run, and where it would rather run."""

    regions: tuple[str, ...] = ()
    min_reliability_bps: int = 0
    providers: tuple[Address, ...] = ()
    exclude_providers: tuple[Address, ...] = ()
    prefer_regions: tuple[str, ...] = ()
    """Soft: an offer there is taken before one elsewhere that is hardly cheaper, and no order waits for one."""


@dataclass(frozen=True, slots=True)
class Group:
    """One node of a job of several: ``size`` orders of one client name the same ``id``, each another ``rank``.

    They are placed on distinct offers of one provider in one batch, or none of them is.
    """

    id: str
    """64 hex digits that the client draws at random. Orders of another client with the same id are another group."""
    size: int
    rank: int

    def __str__(self) -> str:
        return f"node {self.rank} of {self.size}"

    def variables(self) -> dict[str, str]:
        """What the job finds in its environment."""
        return {"BOURSE_GROUP": self.id, "BOURSE_NODES": str(self.size), "BOURSE_NODE_RANK": str(self.rank)}


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Version 2 of the job spec: what everybody may see of a job."""

    work: WorkName
    image: str = HOST_IMAGE
    resources: Resources = Resources()
    constraints: Constraints = Constraints()
    network: Literal["none", "egress"] = "none"
    egress: tuple[str, ...] = ()
    """Where the job may connect to (``domain.egress``); without it, nowhere."""
    checkpoint: str | None = None
    group: Group | None = None
    session: SessionTerms | None = None
    """It has no command, and keeps its machine; its work says so, too."""
    public: bool = False
    """Everybody may read the work, the inputs, the log and the outputs, too."""
    ssh_keys: tuple[str, ...] = ()
    """Who may sit at its machine while it runs: public keys, as OpenSSH writes them in two words."""

    def canonical(self) -> bytes:
        """The document in its full form. A client may leave defaults out: then its own bytes are the spec, not these."""
        document = asdict(self) | {"version": SPEC_VERSION}
        if keys := document.pop("ssh_keys"):
            document["ssh"] = {"keys": keys}
        if self.session is not None:
            document["session"] = self.session.document()
        else:
            del document["session"]
        for name in ("checkpoint", "group", "public", "egress"):
            if not document[name]:
                del document[name]
        if not self.resources.egress_mib:
            del document["resources"]["egress_mib"]
        if not self.constraints.prefer_regions:
            del document["constraints"]["prefer_regions"]
        return canonical_json(document)

    @property
    def sha256(self) -> Sha256:
        return sha256_of(self.canonical())

    @property
    def image_name(self) -> ImageName | None:
        """The container image it runs in; None: the provider's own job runtime."""
        return read_image(self.image)

    def excluding(self, provider: Address) -> JobSpec:
        """The same job, never to run on this provider (again)."""
        kept = tuple(sorted({*self.constraints.exclude_providers, provider}))
        return replace(self, constraints=replace(self.constraints, exclude_providers=kept))


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine description. ``measured`` is False when the provider declared it and nobody looked."""

    region: str
    gpu_model: str
    vram_mib: int
    gpu_count: int
    cpus: int
    memory_mib: int
    disk_mib: int
    measured: bool = False
    egress_mib: int = 0
    """How much a job of its may send and receive at most; 0: jobs have no network there."""
    recipient: str | None = None
    """To which the keys of sealed jobs are sealed (age; ``marketplace.sealing``); None: it can open none."""

    def canonical(self) -> bytes:
        gpu = {"model": self.gpu_model, "vram_mib": self.vram_mib, "count": self.gpu_count}
        rest = {name: getattr(self, name) for name in ("region", "cpus", "memory_mib", "disk_mib", "measured")}
        key = {} if self.recipient is None else {"recipient": self.recipient}
        egress = {"egress_mib": self.egress_mib} if self.egress_mib else {}
        return canonical_json({"version": MACHINE_VERSION, "gpu": gpu} | rest | egress | key)

    @property
    def sha256(self) -> Sha256:
        return sha256_of(self.canonical())


def read_spec(content: bytes) -> JobSpec:
    """Read a job spec; raise InvalidField that names the field and the rule."""
    if len(content) > MAX_SPEC_BYTES:
        raise InvalidField("spec", f"must be at most {MAX_SPEC_BYTES} bytes")
    document = parse_json(content, field="spec")
    reader = Reader(document, "spec")
    reader.number("version", SPEC_VERSION, SPEC_VERSION)
    resources = read_resources(reader.take("resources", dict, {}))
    spec = JobSpec(
        work=_work_name(reader),
        image=_image(reader),
        resources=resources,
        constraints=read_constraints(reader.take("constraints", dict, {})),
        network=_network(reader),
        egress=read_targets(reader.texts("egress", [], limit=MAX_TARGETS), "spec.egress"),
        checkpoint=_checkpoint(reader),
        group=read_group(reader),
        session=read_session(reader),
        public=_public(reader),
        ssh_keys=_ssh_keys(reader),
    )
    reader.end()
    if len({spec.network == "egress", bool(spec.egress), bool(resources.egress_mib)}) > 1:
        raise InvalidField(
            "spec.egress", 'must be given where spec.network is "egress", with spec.resources.egress_mib; and else not'
        )
    if canonical_json(document) != content:
        raise InvalidField("spec", "must be canonical JSON (RFC 8785)")
    return spec


def read_machine(content: bytes) -> Machine:
    """Read a machine description; raise InvalidField that names the field and the rule."""
    reader = Reader(parse_json(content, field="machine"), "machine")
    reader.number("version", MACHINE_VERSION, MACHINE_VERSION)
    gpu = Reader(reader.take("gpu", dict), "machine.gpu")
    region = reader.take("region", str)
    if not _REGION.fullmatch(region):
        raise InvalidField("machine.region", "must be 1 to 32 of a-z, 0-9 and -")
    machine = Machine(
        region=region,
        gpu_model=_model(gpu),
        vram_mib=gpu.number("vram_mib", 1, 2**24),
        gpu_count=gpu.number("count", 1, 2**16 - 1),
        cpus=reader.number("cpus", 1, 2**16),
        memory_mib=reader.number("memory_mib", 1, 2**32),
        disk_mib=reader.number("disk_mib", 1, 2**32),
        measured=reader.take("measured", bool),
        egress_mib=reader.number("egress_mib", 1, MAX_EGRESS_MIB, 0) if reader.has("egress_mib") else 0,
        recipient=read_recipient(reader, "recipient") if reader.has("recipient") else None,
    )
    gpu.end()
    reader.end()
    return machine


def read_recipient(reader: Reader, name: str) -> str:
    """A public key of age's, by its form; whether there is such a key shows to whoever seals to it."""
    said: str = reader.take(name, str)
    if not _RECIPIENT.fullmatch(said):
        raise InvalidField(reader.where(name), "must be an age recipient (age1 and 58 letters and digits)")
    return said


def _model(gpu: Reader) -> str:
    """A name that fits in everybody's tables: it is in every answer that lists the offer."""
    model: str = gpu.take("model", str)
    if not 0 < len(model) <= _MODEL_LETTERS or not model.isprintable():
        raise InvalidField(gpu.where("model"), f"must be 1 to {_MODEL_LETTERS} printable characters")
    return model


def _work_name(reader: Reader) -> WorkName:
    inner = Reader(reader.take("work", dict), "spec.work")
    found = WorkName(
        sha256(inner.take("sha256", str), field="spec.work.sha256"), inner.number("bytes", 1, MAX_WORK_BYTES)
    )
    inner.end()
    return found


def _public(reader: Reader) -> bool:
    """Whether it says so. There is one way to say no, which is to say nothing."""
    said = reader.take("public", bool, None)
    if said is False:
        raise InvalidField("spec.public", "must be true, or absent")
    return bool(said)


def _ssh_keys(reader: Reader) -> tuple[str, ...]:
    """One key at least where there is the part ``ssh``: there is one way to say that nobody may, which is to say nothing."""
    if not reader.has("ssh"):
        return ()
    inner = Reader(reader.take("ssh", dict), "spec.ssh")
    keys = inner.texts("keys", limit=MOST_SSH_KEYS)
    inner.end()
    if not keys or len(set(keys)) < len(keys):
        raise InvalidField("spec.ssh.keys", "must name one key at least, and each once")
    return tuple(checked_ssh_key(key, f"spec.ssh.keys[{place}]") for place, key in enumerate(keys))


def _image(reader: Reader) -> str:
    image: str = reader.take("image", str)
    read_image(image)
    return image


def job_path(value: str, path: str) -> str:
    """An absolute path below /job, in its simplest form: no ``..``, no doubled or trailing slash, no control characters, and
    no longer and no deeper than a file's name in a bundle: what no machine can look at, nobody may name.
    """
    is_plain = (
        value.startswith("/job/") and str(PurePosixPath(value)) == value and ".." not in PurePosixPath(value).parts
    )
    if not is_plain:
        raise InvalidField(path, "must be a plain absolute path below /job, without ..")
    try:
        checked_name(value.removeprefix("/"))
    except InvalidField as exc:
        raise InvalidField(path, exc.rule) from None
    return value


def read_demand(value: Any) -> JobSpec:
    """As much of a spec as a snapshot tells: what clearing looks at. The work's name is withheld."""
    reader = Reader(value, "spec")
    demand = JobSpec(
        WorkName(Sha256("0" * 64), 1),
        resources=read_resources(reader.take("resources", dict, {})),
        constraints=read_constraints(reader.take("constraints", dict, {})),
        group=read_group(reader),
    )
    reader.end()
    return demand


def read_resources(value: Any) -> Resources:
    """The part ``resources`` of a spec; defaults where it says nothing."""
    reader = Reader(value, "spec.resources")
    found = Resources(
        gpus=reader.number("gpus", 1, 2**16 - 1, 1),
        vram_mib=reader.number("vram_mib", 0, 2**24, 0),
        cpus=reader.number("cpus", 1, 2**16, 1),
        memory_mib=reader.number("memory_mib", 16, 2**32, 1024),
        disk_mib=reader.number("disk_mib", 1, 2**32, 1024),
        egress_mib=reader.number("egress_mib", 0, MAX_EGRESS_MIB, 0),
    )
    reader.end()
    return found


def read_constraints(value: Any) -> Constraints:
    """The part ``constraints`` of a spec; defaults where it says nothing."""
    reader = Reader(value, "spec.constraints")
    found = Constraints(
        regions=read_regions(reader, "regions"),
        min_reliability_bps=reader.number("min_reliability_bps", 0, 10_000, 0),
        providers=_addresses(reader, "providers"),
        exclude_providers=_addresses(reader, "exclude_providers"),
        prefer_regions=read_regions(reader, "prefer_regions"),
    )
    reader.end()
    return found


def read_regions(reader: Reader, name: str) -> tuple[str, ...]:
    """The field as names of regions; none where it is absent."""
    regions = reader.texts(name, [], limit=64)
    if not all(_REGION.fullmatch(region) for region in regions):
        raise InvalidField(reader.where(name), "must be names of 1 to 32 of a-z, 0-9 and -")
    return regions


def _addresses(reader: Reader, name: str) -> tuple[Address, ...]:
    return tuple(address(value, field=f"spec.constraints.{name}") for value in reader.texts(name, []))


def _network(reader: Reader) -> Literal["none", "egress"]:
    network = reader.take("network", str, "none")
    if network not in ("none", "egress"):
        raise InvalidField("spec.network", 'must be "none" or "egress"')
    return "none" if network == "none" else "egress"


def _checkpoint(reader: Reader) -> str | None:
    checkpoint = reader.take("checkpoint", str, None)
    return None if checkpoint is None else job_path(checkpoint, "spec.checkpoint")


def read_group(reader: Reader) -> Group | None:
    """The part ``group`` of a spec, if it has one."""
    value = reader.take("group", dict, None)
    if value is None:
        return None
    inner = Reader(value, "spec.group")
    identifier = inner.take("id", str)
    if not _GROUP.fullmatch(identifier):
        raise InvalidField("spec.group.id", "must be 64 lower-case hex digits")
    size = inner.number("size", 2, MAX_NODES)
    found = Group(identifier, size, inner.number("rank", 0, size - 1))
    inner.end()
    return found
