"""Classes made by ``oopsight.cheap`` are what the standard decorator would have made."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import ClassVar

import pytest

from oopsight import cheap


@cheap.dataclass(frozen=True)
class Place:
    TYPE: ClassVar[str] = "place"
    address: int
    name: str = "?"
    others: list[str] = cheap.field(default_factory=list, repr=False)


@dataclasses.dataclass(frozen=True)
class StandardPlace:
    TYPE: ClassVar[str] = "place"
    address: int
    name: str = "?"
    others: list[str] = dataclasses.field(default_factory=list, repr=False)


@cheap.dataclass(frozen=True, kw_only=True)
class Named:
    optional: int = 0
    wanted: str


@cheap.dataclass
class Count:
    number: int = 0

    def __post_init__(self) -> None:
        self.number += 1


@cheap.dataclass(eq=False)
class Identity:
    number: int


def test_an_object_is_made_shown_and_compared_as_the_standard_one() -> None:
    one, other = Place(1, others=["x"]), StandardPlace(1, others=["x"])
    assert (one.address, one.name, one.others) == (1, "?", ["x"])
    assert repr(one) == repr(other).removeprefix("Standard")
    assert vars(one) == vars(other)
    assert one == Place(1, "?", ["x"])
    assert one != Place(2, "?", ["x"])
    assert one != other
    assert Place(1).others is not Place(1).others
    assert Named(wanted="a") == Named(optional=0, wanted="a")


def test_equal_frozen_objects_hash_alike() -> None:
    assert len({Named(wanted="a"), Named(wanted="a"), Named(wanted="b")}) == 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(Count())
    assert Identity(1) != Identity(1)
    assert len({Identity(1), Identity(1)}) == 2


@pytest.mark.parametrize(
    ("args", "given", "complaint"),
    [
        ((), {}, "arguments are missing"),
        ((1, "a", [], 4), {}, "too many: 4"),
        ((1,), {"address": 2}, "given twice: address"),
        ((1,), {"nane": "x"}, "unknown: nane"),
        ((), {"nane": "x", "name": "y", "others": []}, "unknown: nane"),
    ],
)
def test_wrong_arguments_are_refused(args: tuple, given: dict, complaint: str) -> None:
    with pytest.raises(TypeError, match=complaint):
        Place(*args, **given)


def test_keyword_only_is_keyword_only() -> None:
    with pytest.raises(TypeError, match="too many"):
        Named(1, "a")
    assert Named.__match_args__ == ()
    assert Place.__match_args__ == StandardPlace.__match_args__


def test_a_frozen_object_stays_as_it_is() -> None:
    place = Place(1)
    with pytest.raises(dataclasses.FrozenInstanceError, match="address"):
        place.address = 2
    with pytest.raises(dataclasses.FrozenInstanceError, match="name"):
        del place.name
    count = Count()
    assert count.number == 1
    count.number = 5
    assert count == Count(4)


def test_the_standard_module_knows_the_classes() -> None:
    place = Place(1, others=["x"])
    assert dataclasses.is_dataclass(place)
    assert [f.name for f in dataclasses.fields(Place)] == ["address", "name", "others"]
    assert dataclasses.replace(place, name="y") == Place(1, "y", ["x"])
    assert dataclasses.asdict(place) == {"address": 1, "name": "?", "others": ["x"]}
    assert dataclasses.replace(Named(wanted="a"), optional=1) == Named(optional=1, wanted="a")
    assert cheap.replace(place, name="y") == Place(1, "y", ["x"])
    assert cheap.field_names(place) == ("address", "name", "others")
    assert cheap.field_names(StandardPlace(1)) == ()


def test_objects_are_copied_and_pickled() -> None:
    place = Place(1, others=["x"])
    assert copy.deepcopy(place) == place
    assert pickle.loads(pickle.dumps(place)) == place  # noqa: S301  # made one line before


def test_a_base_with_fields_is_refused() -> None:
    with pytest.raises(TypeError, match="lost"):

        @cheap.dataclass
        class Sub(Count):
            more: int = 0
