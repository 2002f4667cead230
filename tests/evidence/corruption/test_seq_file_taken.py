"""A handler that takes the seq_file of an open file for an object of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.corruption import seq_file_taken
from oopsight.evidence.corruption.seq_file_taken import SeqFileTaken, collect
from oopsight.evidence.flow.data_flow import DataFlow

MODULES = made.modules(made.module("mux", 0xFFFFFFFFC0000000, 0xFFFFFFFFC0001000, "O"))
SEQ_FILE = made.slab_object(cache="seq_file")
PRIVATE = 0x70


def flow(offset: int = 8, kept: str = "struct file.private_data", one: Any = SEQ_FILE) -> DataFlow:
    read = made.flow_step("loaded", "mux_set", 0x1000, "mux")
    taken = made.flow_step("loaded", "mux_write", int(one.address), "mux")
    held = made.owner(int(one.address) + offset, "slab", slab=one, offset=offset)
    return made.data_flow(
        made.way(read, held_in=held, module="mux", name="struct mux.lines"),
        made.way(taken, module="mux", name=kept, function="mux_write"),
        bad=made.owner(0x1000, "user"),
    )


@pytest.fixture(autouse=True)
def _layout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seq_file_taken, "_private", lambda _: PRIVATE)


def test_who_took_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = collect(Machine().session, flow(), MODULES)
    assert isinstance(found, SeqFileTaken)
    assert (found.module, found.function) == ("mux", "mux_write")


@pytest.mark.parametrize(
    "other",
    [
        flow(PRIVATE),
        flow(kept="struct mux.current"),
        flow(one=replace(SEQ_FILE, cache="kmalloc-128")),
    ],
)
def test_anything_else(other: DataFlow) -> None:
    assert isinstance(collect(Machine().session, other, MODULES), Missing)
