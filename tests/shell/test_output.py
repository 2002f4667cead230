"""Text and data at once, and gaps marked in their place."""

from __future__ import annotations

import json

import drgn
import pytest

from oopsight.evidence import Address
from oopsight.shell.output import Gap, Out


def fault() -> int:
    raise drgn.FaultError(
        "could not read memory: page excluded: 0xffff888000001234", 0xFFFF888000001234
    )


def test_a_gap_stands_in_the_row_and_is_counted() -> None:
    said: list[str] = []
    out = Out(said.append)
    for number, read in enumerate([lambda: 1, fault, lambda: 3]):
        value = out.got(read, "value")
        out.row(f"{number} {value!s:>4}", number=number, value=value)
    out.close()
    text = "".join(said)
    assert "1 <unreadable ffff888000001234>" in text
    assert "2    3" in text
    assert text.endswith("[1 thing could not be read in 1 page]\n")
    assert [row["value"] for row in out.rows if not isinstance(row["value"], Gap)] == [1, 3]


def test_one_bad_item_does_not_end_the_others() -> None:
    said: list[str] = []
    out = Out(said.append)
    for number in range(3):
        with out.item(f"item {number}"):
            if number == 1:
                fault()
            out.line(f"item {number} is fine")
    assert [line.split(":")[0] for line in "".join(said).splitlines()] == [
        "item 0 is fine",
        "<unreadable ffff888000001234>",
        "item 2 is fine",
    ]


def test_a_walk_that_breaks_keeps_what_it_found() -> None:
    out = Out(lambda _: None)

    def walk() -> object:
        yield 1
        yield 2
        fault()

    assert list(out.walk(walk(), "list")) == [1, 2]  # type: ignore[arg-type]
    assert out.gaps[0].address == 0xFFFF888000001234


def test_walks_are_bounded() -> None:
    import itertools

    said: list[str] = []
    assert len(list(Out(said.append).walk(itertools.count(), "list", most=5))) == 5
    assert "not followed beyond 5" in said[0]


def test_a_defect_is_not_hidden_as_a_gap() -> None:
    with pytest.raises(TypeError):
        Out(lambda _: None).got(lambda: 1 + "", "x")  # type: ignore[operator]


def test_json_has_addresses_as_text_and_gaps_with_reason() -> None:
    out = Out(lambda _: None)
    out.row(
        None, address=Address(0xFFFF888000001234), value=out.got(fault, "value"), raw=b"\x00\xff"
    )
    found = json.loads(out.to_json())
    assert found["rows"][0]["address"] == "0xffff888000001234"
    assert found["rows"][0]["value"]["address"] == "0xffff888000001234"
    assert found["rows"][0]["raw"] == "00ff"
    assert len(found["unreadable"]) == 1
