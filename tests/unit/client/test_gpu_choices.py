"""Which GPUs would do, in people's words."""

from __future__ import annotations

import pytest

from marketplace.client.gpu_choices import GpuChoice, gpus_chosen
from marketplace.domain.classes import load_classes
from marketplace.domain.errors import InvalidField


def test_classes_are_named_in_any_case() -> None:
    """As they always were; the memory that was asked for beside them stays."""
    assert gpus_chosen(["rtx4090", "A10", "rtx4090"], 5) == GpuChoice(("RTX4090", "A10"), 5)


def test_a_size_is_every_class_with_at_least_that_much() -> None:
    """A card sold as 24 GB has 24GB; what the machine says is held against it too. GiB are counted in full."""
    choice = gpus_chosen(["24GB"])
    assert choice.vram_mib == 22_888
    assert set(choice.classes) == {known.name for known in load_classes() if known.vram_mib >= 22_888}
    assert "RTX4090" in choice.classes
    assert "RTX4080" not in choice.classes
    assert gpus_chosen(["24 gib"]).vram_mib == 24_576
    assert gpus_chosen(["80GB"], 90_000).vram_mib == 90_000


def test_cheapest_is_any_class_that_fits() -> None:
    """All of them, or those with the memory that was asked for."""
    assert gpus_chosen(["cheapest"]) == GpuChoice(tuple(known.name for known in load_classes()))
    assert "T4" not in gpus_chosen(["cheapest"], 20_000).classes


def test_a_class_beside_a_size_may_have_less() -> None:
    """Who names a class knows it: no memory is asked of its machine."""
    choice = gpus_chosen(["T4", "80GB"])
    assert choice.vram_mib == 0
    assert {"T4", "H100-SXM-80GB"} < set(choice.classes)


@pytest.mark.parametrize("words", [[], ["4090"], ["0GB"], ["24MB"], ["99999GB"], ["-1GB"]], ids=str)
def test_what_is_none_of_these_is_refused(words: list[str]) -> None:
    """By the field that says it."""
    with pytest.raises(InvalidField, match="gpu"):
        gpus_chosen(words)


def test_a_family_is_all_of_its_classes() -> None:
    """H100 is each H100; a name that is a class is that class; what is no machine's name but begins some is nothing."""
    assert gpus_chosen(["h100"]).classes == ("H100-PCIE-80GB", "H100-SXM-80GB", "H100-NVL-94GB")
    assert gpus_chosen(["A100", "A10"]).classes[-1] == "A10"
    assert gpus_chosen(["RTX4080"]).classes == ("RTX4080",)
    with pytest.raises(InvalidField, match="RTX"):
        gpus_chosen(["RTX"])
