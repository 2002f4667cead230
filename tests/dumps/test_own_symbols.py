"""What a dump says with its own symbols is what it says with full debug information."""

from __future__ import annotations

import functools
import logging
import re
from pathlib import Path
from typing import Any

import drgn
import pytest
from drgn.helpers.linux.fs import d_path, for_each_file
from drgn.helpers.linux.pid import for_each_task
from lab_dumps import Maker, Subject

from oopsight.errors import SymbolError, WrongBuildError
from oopsight.report import analyze
from oopsight.report.from_log import analyze_log, log_text
from oopsight.session import NoSymbolsError, Session, dump_memory, open_session
from oopsight.symbols.pack.btf import STRUCT, UNION, parse_btf
from oopsight.symbols.pack.build import contents, kernel_table
from oopsight.symbols.sources import dump as dump_source
from oopsight.text import printable

# As one name may stand for several structs; which of them is meant, debug information tells no
# better than BTF does.
LEAST_EQUAL = 0.995
# The number measured is shown with --log-cli-level=INFO.
LOG = logging.getLogger(__name__)


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


# The kernel's ORC is undefined where __crash_kexec() saved its registers; the frame pointer, which
# is what is left, leads past panic() to its caller.
WITHOUT_PANIC = [("sysrq", "5.10", "kdump"), ("sysrq", "6.1", "kdump")]


def test_the_report_is_the_same_but_for_inlined_calls_and_source_lines(
    subject: Subject, request: pytest.FixtureRequest
) -> None:
    if subject.case in WITHOUT_PANIC:
        reason = "the frame of panic() may be passed over; see docs/symbols.md"
        request.applymarker(pytest.mark.xfail(strict=False, reason=reason))
    own = analyze(open_session(subject.dump.vmcore, own_symbols=True))
    full = subject.report
    assert own["dump"]["symbols"][-1]["source"] in ("dump", "packs")
    assert "no inlined calls" in own["dump"]["basis"]
    certainty = own["verdict"]["certainty"]
    # Files of the modules, which own symbols do without, may tell two that are gone apart.
    by_file = full["verdict"]["cause"] == "unloaded_module_pointer" and certainty == "possible"
    if not by_file:
        assert certainty == full["verdict"]["certainty"]
    for key in ("cause", "kind", "trigger", "fault_address", "file_accessed"):
        assert own["verdict"][key] == full["verdict"][key], key
    assert own["verdict"]["faulting_function"] == full["verdict"]["faulting_function"]
    if not by_file:
        assert own["verdict"]["innocent"] == full["verdict"]["innocent"]
        assert module_of(own) == module_of(full)
    for name in ("log", "modules", "task", "slab_caches"):
        assert own["evidence"].get(name) == full["evidence"].get(name), name
    assert calls(own) == calls(full)
    failed = [f for f in own["evidence"].values() if f.get("missing", {}).get("why") == "failed"]
    assert not failed


def test_the_frame_that_no_unwind_table_leads_to_is_told(maker: Maker) -> None:
    report = analyze(open_session(maker.get(("sysrq", "6.1", "kdump")).vmcore, own_symbols=True))
    frames, basis = report["evidence"]["backtrace"]["frames"], report["dump"]["frames"]
    assert [row["index"] for row in basis] == [frame["index"] for frame in frames]
    assert frames[0]["function"] == "__crash_kexec"
    ways = [row["unwound"] for row in basis]
    assert ways == ["saved registers", "frame pointer", *["ORC"] * (len(ways) - 2)]


def module_of(report: dict[str, Any]) -> str | None:
    culprit = report["verdict"]["culprit"]
    return culprit["module"] if culprit else None


def calls(report: dict[str, Any]) -> list[tuple[str, str, str | None, str]]:
    frames = report["evidence"].get("backtrace", {}).get("frames", [])
    keys = ("pc", "function", "module", "role")
    return [tuple(f[key] for key in keys) for f in frames if not f["inline"]]


CASES = {
    "5.10": ("bug-on-state", "5.10", "qmp"),
    "6.1": ("null-deref", "6.1", "kdump"),
    "6.12": ("null-deref", "6.12", "kdump"),
    "7.2": ("bug-on-state", "7.2", "qmp"),
}


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, maker: Maker) -> tuple[Session, Session]:
    """One dump with full debug information, and with its own symbols."""
    dump = maker.get(CASES[request.param])
    full = open_session(dump.vmcore, debug_directories=(dump.debug_dir,))
    assert not full.symbols.pack
    return full, open_session(dump.vmcore, own_symbols=True)


def layout(kind: drgn.Type) -> tuple[Any, ...]:
    """Size, and of every member the name and place; of one without a name, its layout."""
    return (
        kind.size,
        tuple(
            (m.name or layout(m.type), m.bit_offset, m.bit_field_size) for m in kind.members or ()
        ),
    )


def test_structs_have_the_same_members_at_the_same_places(pair: tuple[Session, Session]) -> None:
    full, own = pair
    memory = dump_memory(full.prog, full.info)
    table = kernel_table(memory.read, memory.vmcoreinfo)
    types = parse_btf(contents(memory.read, table, "BTF"))
    names: dict[str, int] = {}
    for row in types.rows(STRUCT, UNION).tolist():
        if types.name_at[row]:
            tag = "struct" if types.kind[row] == STRUCT else "union"
            name = f"{tag} {types.name(int(types.name_at[row]))}"
            names[name] = names.get(name, 0) + 1
    assert len(names) > 5000
    differ = []
    for name in names:
        try:
            expected = full.prog.type(name)
        except LookupError:
            continue  # declared within a function
        if layout(expected) != layout(own.prog.type(name)):
            differ.append(name)
    LOG.info("%d of %d layouts differ: %s", len(differ), len(names), ", ".join(differ))
    assert len(differ) <= (1 - LEAST_EQUAL) * len(names)
    assert [name for name in differ if names[name] == 1] == []


def test_variables_lie_at_the_same_places_and_have_the_same_types(
    pair: tuple[Session, Session],
) -> None:
    full, own = pair
    source = Path(drgn.__file__).parent / "helpers"
    words = {w for f in source.rglob("*.py") for w in re.findall(r'"(\w+)"', f.read_text())}
    compared = 0
    for name in sorted(words):
        try:
            expected = full.prog.variable(name)
            if len(own.prog.symbols(name)) != 1:
                continue
        except LookupError:
            continue
        found = own.prog.variable(name)
        assert found.address_ == expected.address_, name
        assert found.type_.type_name() == expected.type_.type_name(), name
        compared += 1
    assert compared > 80


def test_functions_have_the_same_prototypes(pair: tuple[Session, Session]) -> None:
    full, own = pair
    names = ["schedule", "vfs_read", "kmem_cache_free", "seq_printf"]
    if not own.info.release.startswith("5."):
        names.append("vmemmap_populate")  # older BTF has no functions that ftrace cannot trace
    for name in names:
        expected, found = full.prog.function(name), own.prog.function(name)
        if expected.address_ is None:
            continue  # its place is told by another entry than its name
        assert found.address_ == expected.address_
        assert str(found.type_) == str(expected.type_)


def plain(name: str) -> str:
    """A function without what the compiler added; the names of one system call are the same."""
    name = re.sub(r"\.(cold|isra|part|constprop).*", "", name)
    return re.sub(r"^__(do|x64|ia32|se)_sys_", "sys_", name)


def stack(prog: drgn.Program, task: drgn.Object) -> list[tuple[int, int, str]] | str:
    try:
        trace = prog.stack_trace(task)
    except (drgn.FaultError, ValueError) as error:
        return type(error).__name__
    return [(frame.pc, frame.sp, plain(frame.name)) for frame in trace if not frame.is_inline]


def test_all_tasks_have_the_same_stacks_and_files(pair: tuple[Session, Session]) -> None:
    def everything(prog: drgn.Program) -> list[Any]:
        found = []
        for task in for_each_task(prog):
            files = []
            if task.files:
                files = [(fd, d_path(f.f_path.address_of_())) for fd, f in for_each_file(task)]
            head = (task.pid.value_(), task.comm.string_(), task.value_())
            found.append((head, stack(prog, task), files))
        return found

    full, own = (everything(session.prog) for session in pair)
    assert len(full) > 20
    assert own == full


@functools.cache
def pack_of(vmcore: Path) -> Path:
    session = open_session(vmcore, own_symbols=True)
    assert session.symbols.path is not None
    return session.symbols.path


def test_a_pack_of_another_build_is_refused(maker: Maker) -> None:
    old, new = (maker.get(("null-deref", series, "kdump")) for series in ("6.1", "6.12"))
    with pytest.raises(WrongBuildError):
        open_session(new.vmcore, vmlinux=pack_of(old.vmcore))


def test_a_damaged_pack_is_made_anew(maker: Maker) -> None:
    vmcore = maker.get(("null-deref", "6.1", "kdump")).vmcore
    path = pack_of(vmcore)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-9] + b"\x55" + whole[-8:], b""):
        path.write_bytes(damaged)
        session = open_session(vmcore, own_symbols=True)
        outcomes = {a.source: a.outcome for a in session.symbols.attempts}
        assert outcomes["packs"] == "unusable"
        assert outcomes["dump"] == "used"
        assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_only_time(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_the_way))
    vmcore = maker.get(("null-deref", "6.1", "kdump")).vmcore
    session = open_session(vmcore, own_symbols=True)
    assert "could not be kept" in session.symbols.attempts[-1].detail
    assert session.prog.type("struct task_struct").size > 1000


def test_without_any_symbols_the_log_is_read_and_judged(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_pack(_: object) -> bytes:
        raise SymbolError("no kallsyms")

    monkeypatch.setattr(dump_source, "build", no_pack)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(NoSymbolsError) as raised:
        open_session(subject.dump.vmcore)
    assert "would give the rest" in raised.value.summary
    lines = subject.report["evidence"]["log"].get("lines", [])
    expected = [f"[{line['seconds']:12.6f}] {line['text']}" for line in lines]
    assert [printable(line) for line in log_text(raised.value).split("\n")] == expected
    report = analyze_log(raised.value)
    assert report["dump"]["basis"] == "the kernel log alone"
