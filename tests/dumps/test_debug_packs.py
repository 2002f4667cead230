"""A pack made of a debug vmlinux tells the same frames, at a fraction of the size."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import drgn
import pytest
from drgn.helpers.linux.pid import for_each_task
from lab_dumps import Maker

import oopslab
from oopsight.report import analyze
from oopsight.session import Session, open_session
from oopsight.symbols import cache, compressed
from oopsight.symbols.module_store import ModuleStore
from oopsight.symbols.pack.vmlinux import pack_of_vmlinux

Row = tuple[int, str, bool, tuple[str, int] | None]
COUNTERS = 1500
# Of addresses anywhere some lie between functions, where nothing is ever carried out; which
# of the labels before them is named there differs.
MOST_DIFFERING = 0.005


@dataclass
class Pair:
    """One dump, with the vmlinux and with the pack made of it."""

    dump: oopslab.LabDump
    vmlinux: Path
    pack: Path
    full: Session
    small: Session


@pytest.fixture(scope="module", params=["5.10", "6.1", "6.12", "7.2"])
def pair(
    request: pytest.FixtureRequest, maker: Maker, tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    dump = maker.get(
        ("null-deref" if request.param[0] == "6" else "bug-on-state", request.param, "qmp")
    )
    full = open_session(dump.vmcore, debug_directories=(dump.debug_dir, dump.modules_dir))
    assert full.symbols.path is not None
    modules = sorted(dump.modules_dir.glob("*.ko"))
    build_id, image = pack_of_vmlinux([full.symbols.path, *modules])
    pack = tmp_path_factory.mktemp("pack") / cache.name_of(build_id, lines=True)
    pack.write_bytes(image)
    return Pair(dump, full.symbols.path, pack, full, open_session(dump.vmcore, vmlinux=pack))


def rows(trace: drgn.StackTrace) -> list[Row]:
    found: list[Row] = []
    for frame in trace:
        try:
            source = frame.source()
            line = (source.filename, source.line)
        except LookupError:
            line = None
        found.append((frame.pc, frame.name, frame.is_inline, line))
    return found


def test_it_is_a_fraction_of_the_size(pair: Pair) -> None:
    size = pair.pack.stat().st_size
    assert size < 60 << 20
    assert size * 8 < pair.vmlinux.stat().st_size
    assert len(compressed.compressed(pair.pack.read_bytes())) < 24 << 20


def test_it_is_opened_as_what_it_is(pair: Pair) -> None:
    assert (pair.small.symbols.pack, pair.small.symbols.lines) == (True, True)
    assert "no local variables" in pair.small.symbols.basis


def test_all_tasks_have_the_same_frames(pair: Pair) -> None:
    def everything(prog: drgn.Program) -> dict[int, list[Row] | str]:
        found: dict[int, list[Row] | str] = {}
        for task in for_each_task(prog):
            try:
                found[task.value_()] = rows(prog.stack_trace(task))
            except (drgn.FaultError, ValueError) as error:
                found[task.value_()] = str(error)
        return found

    full = everything(pair.full.prog)
    frames = [row for trace in full.values() if isinstance(trace, list) for row in trace]
    assert sum(row[2] for row in frames) > 40
    assert sum(row[3] is not None for row in frames) > 200
    assert everything(pair.small.prog) == full


def test_code_anywhere_has_the_same_frames(pair: Pair) -> None:
    start, end = (pair.full.prog.symbol(name).address for name in ("_stext", "_etext"))
    differ = 0
    for pc in range(start, end, (end - start) // COUNTERS):
        full, small = (
            rows(session.prog.stack_trace_from_pcs([pc])) for session in (pair.full, pair.small)
        )
        differ += full != small
    assert differ <= COUNTERS * MOST_DIFFERING


def _type_name(variable: drgn.Object) -> str:
    """The type: of linux_banner either of two declarations is found, one without its length."""
    return re.sub(r"\[\d*\]", "[]", variable.type_.type_name())


def test_variables_have_the_same_types(pair: Pair) -> None:
    compared = 0
    for name in (
        "init_task",
        "modules",
        "slab_caches",
        "linux_banner",
        "init_uts_ns",
        "jiffies",
        "mem_section",
        "super_blocks",
        "node_data",
        "root_mountflags",
    ):
        try:
            expected = pair.full.prog.variable(name)
        except LookupError:
            continue
        found = pair.small.prog.variable(name)
        assert (found.address_, _type_name(found)) == (expected.address_, _type_name(expected))
        compared += 1
    assert compared >= 6


def test_the_crash_has_the_same_frames_within_modules_too(pair: Pair) -> None:
    full, small = analyze(pair.full), analyze(pair.small)
    frames = full["evidence"]["backtrace"]["frames"]
    assert any(frame["module"] and frame["source"] for frame in frames)
    assert small["evidence"]["backtrace"]["frames"] == frames
    assert small["verdict"]["cause"] == full["verdict"]["cause"]
    assert small["verdict"]["faulting_function"] == full["verdict"]["faulting_function"]
    assert ModuleStore(pair.pack).names()


def test_a_compressed_copy_in_the_cache_is_found_by_build_id(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.directory().mkdir(parents=True)
    packed = cache.directory() / f"{pair.pack.name}{compressed.SUFFIX}"
    packed.write_bytes(compressed.compressed(pair.pack.read_bytes()))
    session = open_session(pair.dump.vmcore)
    assert (session.symbols.source, session.symbols.lines) == ("packs", True)
    assert [pack.path.name for pack in cache.packs()] == [pair.pack.name]
