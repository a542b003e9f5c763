"""Names of images: what is signed has a digest, what people write may have a tag."""

from __future__ import annotations

import pytest

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256
from marketplace.domain.images import ImageName, TaggedImage, read_image, read_reference

DIGEST = Sha256("ab" * 32)
PLACE = "registry.example/team/tool"


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("host", None),
        (f"blob@sha256:{DIGEST}", ImageName("blob", "", DIGEST)),
        (f"{PLACE}@sha256:{DIGEST}", ImageName("registry.example", "team/tool", DIGEST)),
        (PLACE, TaggedImage("registry.example", "team/tool", "latest")),
        (f"{PLACE}:1.2", TaggedImage("registry.example", "team/tool", "1.2")),
        ("localhost:5000/tool:x", TaggedImage("localhost:5000", "tool", "x")),
    ],
)
def test_what_people_write_is_read(text: str, image: object) -> None:
    """A digest, a tag, or neither; a port is no tag. Written again, a name is what it was."""
    assert read_reference(text) == image
    assert image is None or str(image) == (f"{text}:latest" if text == PLACE else text)


@pytest.mark.parametrize(
    "text",
    ["", "tool", "tool:1", "library/tool", f"{PLACE}:-x", f"{PLACE}@sha256:{DIGEST[1:]}", f"tool@sha256:{DIGEST}",
     "registry.example/Team/tool", f"{PLACE}@{DIGEST}"],
)  # fmt: skip
def test_what_names_no_place_is_refused(text: str) -> None:
    """There is no default registry, and a digest is whole."""
    with pytest.raises(InvalidField):
        read_reference(text)


def test_a_tag_is_nothing_to_sign() -> None:
    """In a spec only a digest counts, and the registry's host is told apart from the market's own blobs."""
    with pytest.raises(InvalidField, match=r"spec\.image"):
        read_image(f"{PLACE}:1.2")
    signed = [read_image(f"{place}@sha256:{DIGEST}") for place in ("blob", PLACE)]

    assert [image is not None and image.is_blob for image in signed] == [True, False]
