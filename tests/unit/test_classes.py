"""GPU classes by number and by name."""

from __future__ import annotations

import pytest

from marketplace.domain.classes import class_named, class_numbered, classes_in, classes_mask, load_classes
from marketplace.domain.errors import InvalidField


def test_classes_are_numbered_in_order_and_named_once() -> None:
    """The place in the file is the number on the chain, for ever."""
    classes = load_classes()

    assert [known.number for known in classes] == list(range(len(classes)))
    assert len({known.name.upper() for known in classes}) == len(classes) <= 256
    assert all(known.vram_mib > 0 for known in classes)


def test_a_name_is_found_in_any_case() -> None:
    """People do not know which letters are capitals."""
    assert class_named(" h100-sxm-80gb").name == "H100-SXM-80GB"
    assert all(class_named(known.name.lower()) == known for known in load_classes())


@pytest.mark.parametrize(("typed", "meant"), [("RTX409", "RTX4090"), ("h100", "H100-SXM-80GB"), ("A10O", "A10")])
def test_an_unknown_name_lists_names_that_are_near(typed: str, meant: str) -> None:
    """A slip of the finger costs nothing but the next try."""
    with pytest.raises(InvalidField) as raised:
        class_named(typed)

    assert meant in raised.value.rule
    assert raised.value.field == "gpu"


def test_a_name_that_is_near_nothing_lists_everything() -> None:
    """Whoever has no idea sees what there is."""
    with pytest.raises(InvalidField, match=r"known are .*RTX4090.*MI300X"):
        class_named("!")


def test_a_number_is_found_or_refused() -> None:
    """Numbers beyond the list are not classes yet."""
    assert class_numbered(0) == load_classes()[0]
    for number in (-1, len(load_classes())):
        with pytest.raises(InvalidField):
            class_numbered(number)


def test_a_mask_has_a_bit_for_each_class() -> None:
    """Bit i says that class i will do, and the mask tells them back."""
    assert classes_mask([0, 3, 255]) == 1 | 8 | 1 << 255
    assert classes_in(classes_mask([255, 3, 0])) == (0, 3, 255)
    with pytest.raises(InvalidField):
        classes_mask([256])
