"""Jobs in container images, from the client's files to the last unit of their pay: no registry, no engine, no root needed."""

from __future__ import annotations

import io
import json
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from examples.host_image import layer_of, write_image
from marketplace.api.client.gateway import GatewayApi
from marketplace.client.images import push_image
from marketplace.domain import events as e
from marketplace.domain.errors import GatewayProblem
from marketplace.domain.ids import Sha256
from marketplace.domain.images import BLOB_REGISTRY, ImageName
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.states import ServingState
from marketplace.provider.images.cache import images_in
from tests.integration.provider.stage import INVENTORY, Stage
from tests.integration.test_registries import registry
from tests.unit.provider.image_layers import Image, image, item, layer


def pushed(stage: Stage, folder: Path, *layers: bytes, config: dict[str, object] | None = None) -> str:
    """The layers as an image among the market's blobs; its name."""
    write_image(folder, list(layers), config)
    return str(push_image(stage.client_api, folder).name)


def served(stage: Stage, named: str, *command: str, inventory: str = INVENTORY, **work: object) -> SignedOrder:
    """A job in the image, run to its end and paid, or given back."""
    agent = stage.agent(inventory=inventory, home="home") if not stage.agents else stage.agents[-1]
    signed = stage.order(stage.spec(*command, image=named, work=work))
    stage.open(signed, stage.listed(agent))
    over = (LeaseStatus.CLOSED, LeaseStatus.NONE)
    stage.until(agent, lambda: stage.status(signed.id) in over, "the lease is over", signs=True)
    return signed


def used_seconds(stage: Stage, signed: SignedOrder) -> int:
    (settled,) = stage.events(e.LeaseSettled, signed.id)
    assert isinstance(settled, e.LeaseSettled)
    return settled.used_seconds


@pytest.mark.quick
def test_a_job_runs_in_an_image_from_the_markets_own_blobs(stage: Stage) -> None:
    """The image is pulled from the client's files, its pull is told in the log and not charged; the next job finds it warm."""
    own = layer(item("srv/own", content=b"the image's\n"))
    config = {"Entrypoint": ["cat"], "Cmd": ["/srv/own"], "Env": ["A=1"]}
    named = pushed(stage, stage.folder / "image", layer_of(["sh", "cat"]), own, config=config)
    first = served(stage, named, entrypoint="image", command=())
    second = served(stage, named, "sh", "-c", "echo $A; cat hello.txt > /job/out/a")
    log, (kept,) = (
        stage.log_of(first.id),
        images_in(stage.folder / "home" / "images", stage.folder / "home" / "servings"),
    )

    assert stage.result(first.id).exit_code == 0, log
    assert "\nthe image's\n" in log
    assert f"[provider] image {named}: pulling" in log
    assert "which are not charged" in log
    assert stage.log_of(second.id) == "1\n"
    assert stage.result(second.id).exit_code == 0
    assert [output.bytes > 0 for output in stage.result(second.id).outputs] == [True]
    assert str(kept.record.name) == named
    assert used_seconds(stage, first) > 0


def note_on(stage: Stage, signed: SignedOrder) -> str:
    """What the agent has written down about how the serving ended."""
    agent = stage.agents[-1]
    stage.until(agent, lambda: not stage.is_serving(agent), "the serving is closed")
    (serving,) = stage.journal(agent).servings(ServingState.CLOSED)
    assert serving.lease == signed.id
    return serving.note


def kept_at(stage: Stage, made: Image) -> str:
    """An image whose blobs are brought as they are, whatever they are."""
    for content in made.blobs.values():
        stage.client_api.put_blob(content)
    return str(ImageName(BLOB_REGISTRY, "", made.manifest))


REFUSED = {
    "image_refused": ([layer(item("../../planted"))], {}, INVENTORY),
    "image_arch": ([layer(item("a"))], {"architecture": "arm64"}, INVENTORY),
    "image_too_big": ([layer(item("a", content=bytes(3 << 20)))], {}, INVENTORY + "\n[images]\ncache_mib = 1\n"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_an_image_that_cannot_be_used_is_given_back_with_its_reason(reason: str, stage: Stage) -> None:
    """The lease is declined while that is free, for a reason that client and scheduler can read; nothing is left on the disk."""
    layers, told, inventory = REFUSED[reason]
    named = kept_at(stage, image(*layers, **told))
    signed = served(stage, named, "true", inventory=inventory)

    assert stage.status(signed.id) is LeaseStatus.NONE
    assert note_on(stage, signed).startswith(f"LeaseDeclined; declined: {reason}: image {named}")
    home = stage.folder / "home" / "images"
    assert images_in(home, home) == []
    assert not any(path.is_file() for name in ("making", "packed") for path in (home / name).rglob("*"))


def test_a_registry_that_is_not_on_the_list_is_refused(stage: Stage) -> None:
    """A provider pulls from the registries that its inventory names, and from no other."""
    signed = served(stage, f"registry.example/a/b@sha256:{'0' * 64}", "true")

    assert note_on(stage, signed).startswith(
        "LeaseDeclined; declined: image_refused: the registry registry.example is not"
    )


def test_a_listed_registry_is_pulled_from(stage: Stage) -> None:
    """A provider whose inventory names a registry runs images of it; what the registry does not have is given back as not found."""
    made = image(layer_of(["cat"]), layer(item("srv/own", content=b"from a registry\n")))
    with registry(made) as host:
        inventory = INVENTORY + f'\n[images]\nprivate_registries = ["http://{host}"]\n'
        found = served(stage, f"{host}/path@sha256:{made.manifest}", "cat", "/srv/own", inventory=inventory)
        missing = served(stage, f"{host}/path@sha256:{'0' * 64}", "cat")

    assert "from a registry\n" in stage.log_of(found.id)
    assert stage.status(missing.id) is LeaseStatus.NONE
    agent = stage.agents[-1]
    stage.until(agent, lambda: not stage.is_serving(agent), "all servings are closed")
    notes = [serving.note for serving in stage.journal(stage.agents[-1]).servings(ServingState.CLOSED)]
    assert any("image_not_found" in note for note in notes), notes


def test_a_pull_that_fails_too_late_to_decline_costs_nothing(stage: Stage) -> None:
    """When the start grace is over, the lease ends with a receipt over 0 seconds that both sign, and the reason is in its log."""
    made = image(layer(item("a")))
    with registry(made, lambda path, token: (503, {}, b"")) as host:
        agent = stage.agent(inventory=INVENTORY + f'\n[images]\nprivate_registries = ["http://{host}"]\n')
        signed = stage.order(stage.spec("true", image=f"{host}/path@sha256:{made.manifest}"))
        stage.open(signed, stage.listed(agent))
        stage.until(agent, lambda: asked_for(stage), "the image is asked for")
        stage.jump(stage.market.terms().start_grace + 1)
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed", signs=True)

    assert used_seconds(stage, signed) == 0
    assert "not run: image_not_found" in stage.log_of(signed.id)


def asked_for(stage: Stage) -> bool:
    """Whether the agent has begun to pull something."""
    return (stage.folder / "home" / "images" / "packed").exists()


def test_an_order_for_an_image_that_is_not_here_is_refused(stage: Stage) -> None:
    """The gateway says which blob is missing when the order is made, before anybody is matched; also where only a layer is."""
    made = image(layer(item("a")))
    name = str(ImageName(BLOB_REGISTRY, "", made.manifest))
    with pytest.raises(GatewayProblem, match="image"):
        stage.order(stage.spec("true", image=name))
    stage.client_api.put_blob(made.blobs[f"sha256:{made.manifest}"])
    with pytest.raises(GatewayProblem, match="image"):
        stage.order(stage.spec("true", image=name))


def test_only_the_parties_of_a_lease_read_its_image(stage: Stage) -> None:
    """A blob of an image is there for who brought it and, below the lease, for its parties; for the public it is not."""
    made = image(layer(item("a")))
    named = kept_at(stage, made)
    signed = stage.order(stage.spec("true", image=named))
    layer_blob = Sha256(made.read().layers[0].sha256)

    assert stage.client_api.fetch_blob(layer_blob, lease=signed.id, limit_bytes=1 << 20)
    with closing(GatewayApi(stage.gateway.url)) as anybody:
        for lease in (None, signed.id):
            with pytest.raises(GatewayProblem):
                anybody.fetch_blob(layer_blob, lease=lease)


def test_saved_images_are_pushed_once(stage: Stage, tmp_path: Path) -> None:
    """What ``docker save`` writes is packed and brought; pushed again, nothing is sent, and the name is the same."""
    plain = layer(item("a", content=b"1"))
    made = image(plain)
    config = made.blobs[made.read().config.digest]
    archive = tmp_path / "saved.tar"
    files = {"config.json": config, "l/layer.tar": plain}
    files["manifest.json"] = json.dumps(
        [{"Config": "config.json", "RepoTags": ["a:b"], "Layers": ["l/layer.tar"]}]
    ).encode()
    with tarfile.open(archive, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    first, again = push_image(stage.client_api, archive), push_image(stage.client_api, archive)

    assert first.sent_bytes == first.bytes > 0
    assert (again.name, again.sent_bytes) == (first.name, 0)
