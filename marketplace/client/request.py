"""What a client asks for, and the spec and the order that say it. Pure, but for reading the files to be sent."""

from __future__ import annotations

import secrets
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import Literal

from marketplace.chain.checksums import address_from_text
from marketplace.client.ignoring import ignored_in
from marketplace.client.secret_values import secret_in
from marketplace.client.terms import JobTerms, OnSilence
from marketplace.client.trust import Roles
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.bundles import Bundle, Ignored, bundle_paths
from marketplace.domain.classes import class_named, classes_mask
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import ZERO_ADDRESS, Address, OfferId, Sha256, bytes32_of
from marketplace.domain.images import HOST_IMAGE
from marketplace.domain.job_secrets import JobSecrets
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.limits import MAX_CONTENT_BYTES
from marketplace.domain.orders import Order
from marketplace.domain.runnable import require_runnable
from marketplace.domain.spec import (
    JOB_IN,
    JOB_OUT,
    MAX_NODES,
    Constraints,
    Group,
    JobSpec,
    Resources,
    read_spec,
)
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.domain.work import Input, Work, read_work, work_name
from marketplace.sealing import SealedFile, new_identity, recipient_of, seal_into, seal_work

ONE_GPU, NO_TIME, TEN_MINUTES = GpuCount(1), Seconds(0), Seconds(600)
AT_ONCE = UnixTime(0)
NO_BOND, NO_TIP, ANY_OFFER = Bps(0), TokenUnits(0), OfferId(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One piece of work, and what its client would pay for it.

    JobRequest(command=("python", "train.py"), gpus_of=("RTX4090",), max_price=market.price("0.40"),
               max_time=Seconds(600), inputs=Path("data"))
    replace(request, name="lr-0.1", command=(…))           the same with other settings
    """

    command: tuple[str, ...]
    gpus_of: tuple[str, ...]
    """Names of the GPU classes that would do; see ``bourse offers``."""
    max_price: PricePerGpuHour
    max_time: Seconds
    """The longest time that is paid for, from the opening of the lease."""
    name: str = ""
    gpus: GpuCount = ONE_GPU
    inputs: Path | None = None
    """A folder whose content unpacks in /job/in, but for ``.git``, ``__pycache__`` and what its ``.bourseignore`` names."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Further files and folders by their names below /job/in."""
    pip: Path | None = None
    """A requirements file, with hashes, whose packages the job finds: they are put among its ``files`` when it is drafted (``client.packages``)."""
    outputs: tuple[str, ...] = (JOB_OUT,)
    env: Mapping[str, str] = field(default_factory=dict)
    image: str = HOST_IMAGE
    """What it runs in: the provider's job runtime, or a container image by its digest (``blob@sha256:…``, ``registry.example/path@sha256:…``)."""
    entrypoint: Literal["none", "image"] = "none"
    """``image``: the command stands behind the image's entrypoint; without a command, the image's own words do."""
    session: SessionTerms | None = None
    """It keeps its machine, without a command, until it is ended or its time is up."""
    egress: tuple[str, ...] = ()
    """Where the job may connect to, as HOST:PORT; without it, it has no network."""
    egress_mib: int = 1024
    """How much it may send and receive then."""
    regions: tuple[str, ...] = ()
    prefer_regions: tuple[str, ...] = ()
    """Where it would rather run, if that is hardly dearer; ``regions`` is where it must."""
    exclude_providers: tuple[Address, ...] = ()
    vram_mib: int = 0
    cpus: int = 1
    memory_mib: int = 1024
    disk_mib: int = 1024
    min_time: Seconds = NO_TIME
    """Take-or-pay: what ``cancel`` costs at least once it runs; some offers ask for it."""
    starts_at: UnixTime = AT_ONCE
    """When its term begins, in block time: then it is a reservation, which an offer's own provider opens before. 0: it is opened as soon as may be."""
    upfront: Seconds = NO_TIME
    """Of a reservation: how much of its guaranteed time is signed for, and so paid, as soon as it is opened. Never comes back."""
    min_bond_bps: Bps = NO_BOND
    min_reliability_bps: int = 0
    """Only providers whose score is at least that; a newcomer's is 9,000."""
    tip: TokenUnits = NO_TIP
    expires_in: Seconds = TEN_MINUTES
    """How long the order may wait on the book."""
    retries: int = 1
    """How often it is ordered again elsewhere when its provider falls silent."""
    silent_after: Seconds | None = None
    """Seconds without a sign of life after which a provider is given up; None: three times the market's start grace."""
    on_silence: OnSilence = "elsewhere"
    """What giving up means. ``elsewhere``: ordered elsewhere at once, the silent provider's lease is kept for its bond, and whichever result
    verifies first is taken. ``terminate``: the lease is ended first, so that there are never two; what it ran is paid for."""
    offer: OfferId = ANY_OFFER
    """Pin one offer; 0: any that fits."""
    opener: Address | None = None
    """Who alone may open the order, e.g. a scheduler; None: whom the settings or the address book name."""
    arbiter: Address | None = None
    """Who rules on its lease; None: whom the settings or the address book name."""
    public: bool = False
    """Everybody may read what is run, its inputs, its log and its outputs."""
    secrets: Mapping[str, bytes | Path] = field(default_factory=dict, repr=False)
    """By their names: the value, or the file that holds it. Each is a file in /job/secrets; they are in no document, and in no journal."""
    ssh_keys: tuple[str, ...] = ()
    """Public keys of those who may sit at its machine by ssh while it runs; the spec, which is public, names them."""
    sealed: bool = False
    """Nobody but the provider that serves it may, the gateway's operator neither."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request made ready: the spec, its bytes, those of the work, and the bundle of its inputs, with the names of its parts."""

    spec: JobSpec
    spec_bytes: bytes
    work_bytes: bytes
    inputs: Bundle | SealedFile | None = None
    parts: tuple[Sha256, ...] = ()
    key: str | None = field(default=None, repr=False)
    """The secret key of a sealed job."""
    secrets: JobSecrets | None = None


def prepare(request: JobRequest) -> Prepared:
    """Bundle the inputs, write work and spec; raise InvalidField for what their rules do not allow, or no provider can run."""
    if request.sealed and request.public:
        raise InvalidField("sealed", "must not be public: nobody else could read it")
    key = new_identity() if request.sealed else None
    bundle = bundle_inputs(request)
    inputs = _sealed(bundle, recipient_of(key)) if bundle and key else bundle
    parts = inputs.parts() if inputs else ()
    listed = (Input(JOB_IN, inputs.bytes, parts),) if inputs else ()
    if request.entrypoint == "image" and request.image == HOST_IMAGE:
        raise InvalidField("entrypoint", "needs a container image")
    private = _secrets_of(request)
    opened = Work(
        request.command, secrets.token_hex(32), dict(request.env), listed, request.outputs,
        entrypoint="session" if request.session else request.entrypoint, secrets=private.named if private else None,
        job_name="" if request.sealed else request.name,  # the provider of a sealed job would read it
    )  # fmt: skip
    read_work(opened.canonical())
    work = (seal_work(opened, recipient_of(key)) if key else opened).canonical()
    read_work(work)
    spec = JobSpec(
        work=work_name(work),
        image=request.image,
        resources=Resources(
            request.gpus,
            request.vram_mib,
            request.cpus,
            request.memory_mib,
            request.disk_mib,
            request.egress_mib if request.egress else 0,
        ),
        constraints=Constraints(
            regions=request.regions,
            exclude_providers=tuple(
                address_from_text(provider, field="exclude_providers") for provider in request.exclude_providers
            ),
            prefer_regions=request.prefer_regions,
            min_reliability_bps=request.min_reliability_bps,
        ),
        network="egress" if request.egress else "none",
        egress=request.egress,
        session=request.session,
        public=request.public,
        ssh_keys=request.ssh_keys,
    )
    require_runnable(spec)
    content = spec.canonical()
    return Prepared(read_spec(content), content, work, inputs, parts, key, private)


def _secrets_of(request: JobRequest) -> JobSecrets | None:
    """The request's secrets, those in files read; raise InvalidField."""
    if not request.secrets:
        return None
    values = {name: secret_in(name, at) if isinstance(at, Path) else at for name, at in request.secrets.items()}
    return JobSecrets(values, secrets.token_hex(32))


def _sealed(bundle: Bundle, recipient: str) -> SealedFile:
    """The bundle sealed, in a file without a name that is gone with the request: sealed anew it would be other bytes."""
    stream = TemporaryFile(prefix="bourse-")  # noqa: SIM115  it is read until the request is submitted
    try:
        seal_into(bundle.pieces(), stream, recipient)
    except BaseException:
        stream.close()
        raise
    found = SealedFile(stream)
    weakref.finalize(found, stream.close)
    return found


def nodes_of(request: JobRequest, size: int) -> tuple[Prepared, ...]:
    """The request made ready for ``size`` nodes: their specs share the work and a fresh group id, and differ by rank only."""
    if not 2 <= size <= MAX_NODES:
        raise InvalidField("nodes", f"must be from 2 to {MAX_NODES}")
    if request.offer:
        raise InvalidField("offer", "must not be pinned: every node gets an offer of its own")
    alone, identifier = prepare(request), secrets.token_hex(32)
    specs = [replace(alone.spec, group=Group(identifier, size, rank)) for rank in range(size)]
    return tuple(
        Prepared(spec, spec.canonical(), alone.work_bytes, alone.inputs, alone.parts, alone.key, alone.secrets)
        for spec in specs
    )


def bundle_inputs(request: JobRequest) -> Bundle | None:
    """The inputs as one bundle, if there are any, without what is ignored of the folder (``client.ignoring``).

    Raises InvalidField for links, devices, names that come twice, and more than the request's disk holds.
    """
    named = dict(request.files)
    is_ignored: Ignored = _nothing
    if request.inputs is not None:
        if not request.inputs.is_dir():
            raise InvalidField("input", f"{request.inputs} is not a folder")
        for child in request.inputs.iterdir():
            if child.name in named and not child.samefile(named[child.name]):
                raise InvalidField("input", f"{child.name} is both in {request.inputs} and named in the command")
            named[child.name] = child
        is_ignored = _ignored_of(request.inputs, request.files)
    allowance = Allowance(min(request.disk_mib << 20, MAX_CONTENT_BYTES))
    bundle = bundle_paths(named.items(), allowance, is_ignored)
    return bundle if bundle.entries else None


def _nothing(name: str, is_folder: bool) -> bool:
    return False


def _ignored_of(folder: Path, files: Mapping[str, Path]) -> Ignored:
    """What stays at home of the folder. What was named by itself does not: somebody wants it sent."""
    is_ignored = ignored_in(folder)
    named = {name.split("/")[0] for name in files}
    return lambda name, is_folder: name.split("/")[0] not in named and is_ignored(name, is_folder)


def files_named(command: tuple[str, ...], folder: Path) -> dict[str, Path]:
    """The words of a command line that name regular files below ``folder``: they are sent along with the job.

    Absolute paths and paths that lead out of the folder are left alone: they speak of the provider's machine.
    """
    found: dict[str, Path] = {}
    for word in command:
        path = PurePosixPath(word)
        if word and not path.is_absolute() and ".." not in path.parts and (folder / path).is_file():
            found[str(path)] = folder / path
    return found


def order_for(
    request: JobRequest,
    spec: Sha256,
    *,
    client: Address,
    acceptor: Address = ZERO_ADDRESS,
    roles: Roles,
    now: UnixTime,
    salt: int | None = None,
) -> Order:
    """The order that says ``request``; ``now`` is block time, the salt random unless given.

    One for a term lease names no opener, for its provider is the only one who can be that, and expires before it begins: from then on it
    would be an order that anybody could open, at its highest price.
    """
    opener = ZERO_ADDRESS if request.starts_at else roles.opener
    expires_at = UnixTime(now + request.expires_in)
    if request.tip and opener == ZERO_ADDRESS:
        raise InvalidField("tip", "needs a named opener, and this order names none")
    return Order(
        client=client,
        classes=classes_mask(class_named(name).number for name in request.gpus_of),
        offer=request.offer,
        gpus=request.gpus,
        max_seconds=request.max_time,
        min_seconds=request.min_time,
        max_price=request.max_price,
        min_bond_bps=request.min_bond_bps,
        starts_at=request.starts_at,
        expires_at=min(expires_at, request.starts_at) if request.starts_at else expires_at,
        tip=request.tip,
        opener=opener,
        acceptor=acceptor,
        arbiter=roles.arbiter,
        spec=bytes32_of(spec),
        salt=secrets.randbits(256) if salt is None else salt,
    )


def order_again(order: Order, spec: Sha256, *, now: UnixTime, expires_in: Seconds) -> Order:
    """A fresh order for the same work under another spec: new salt, so that it is another lease."""
    expires_at = UnixTime(now + expires_in)
    return replace(order, spec=bytes32_of(spec), expires_at=expires_at, salt=secrets.randbits(256))


def terms_of(request: JobRequest, start_grace: Seconds) -> JobTerms:
    """What retries are signed by."""
    silent_after = request.silent_after if request.silent_after is not None else Seconds(3 * start_grace)
    return JobTerms(request.retries, request.expires_in, silent_after, request.on_silence, request.upfront)
