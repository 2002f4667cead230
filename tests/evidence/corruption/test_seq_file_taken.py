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


@pytest.mark.parametrize("got", ["fget", "fdget"])
def test_what_another_has_in_a_file_that_a_descriptor_named(
    monkeypatch: pytest.MonkeyPatch, got: str
) -> None:
    first, kept = flow(one=replace(SEQ_FILE, cache="kmalloc-256")).ways
    file = made.flow_step("returned", "mux_write", 0x2000, "mux")
    by = made.way(file, module="mux", ended="returned", returned_by=got)
    found = made.data_flow(first, kept, by, bad=made.owner(0x1000, "user"))
    monkeypatch.setattr(seq_file_taken, "_operations", lambda *_: "timerfd_fops")
    taken = collect(Machine().session, found, MODULES)
    assert isinstance(taken, SeqFileTaken)
    assert (taken.function, taken.operations) == ("mux_write", "timerfd_fops")
    monkeypatch.setattr(seq_file_taken, "_operations", lambda *_: None)
    assert isinstance(collect(Machine().session, found, MODULES), Missing)
    # The kernel handed it the file of which the call is.
    monkeypatch.setattr(seq_file_taken, "_operations", lambda *_: "proc_reg_file_ops")
    own = made.data_flow(first, kept, bad=made.owner(0x1000, "user"))
    assert isinstance(collect(Machine().session, own, MODULES), Missing)
