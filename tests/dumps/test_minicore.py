"""Minicores of real dumps: the same verdict, nothing of programs, open to other debuggers."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import drgn
import pytest
from lab_dumps import Maker, analysed, opened

import oopslab
from oopsight.cli import main
from oopsight.dump import identify
from oopsight.report.verify import verify
from oopsight.session import open_session
from oopsight.shell import Shell

MOST = 3 << 20
AGENT = b"--daemon\0-c\0/etc/automation/jobs.conf\0"
"""Arguments of a program of the guest, as they lie in its own memory."""
CASES = [("incident", "6.1", "kdump"), ("incident", "6.1", "qmp"), ("incident", "6.12", "qmp")]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def dump(request: pytest.FixtureRequest, maker: Maker) -> oopslab.LabDump:
    return maker.get(request.param)


@pytest.fixture(scope="module")
def mini(dump: oopslab.LabDump, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("minicore") / "mini.vmcore"
    # ps -a reads the arguments and environments of all programs from their memory.
    assert made(dump, path, "--also", "ps -a") == 0
    return path


def made(dump: oopslab.LabDump, path: Path, *more: str) -> int:
    modules = path.parent / "modules"
    if path.parent.is_dir() and not modules.exists():
        # Modules' files beside the dump name what was in them; let them do so beside this one.
        modules.symlink_to(dump.vmcore.parent / "modules")
    arguments = [str(dump.vmcore), "--debug-dir", str(dump.debug_dir), "-o", str(path)]
    return main(["minicore", *arguments, *more])


def texts(report: dict[str, Any]) -> dict[str, Any]:
    return {key: report[key] for key in ("verdict", "chain", "timeline", "mail", "undecided")}


def test_it_is_small_and_says_what_it_is(mini: Path) -> None:
    assert mini.stat().st_size < MOST
    assert identify(mini).minicore
    assert identify(mini).complete


def test_the_verdict_is_that_of_the_dump_and_verifies(dump: oopslab.LabDump, mini: Path) -> None:
    whole, small = (
        analysed(opened(dump, None, dump.modules_dir)),
        analysed(opened(dump, mini, dump.modules_dir)),
    )
    assert texts(small) == texts(whole)
    assert verify(whole, opened(dump, mini, dump.modules_dir)) == verify(small, opened(dump))


def physical_memory(path: Path) -> bytes:
    """All pages of a dump that can be read, one behind the other."""
    prog = drgn.Program()
    prog.set_core_dump(path)
    pages = []
    for frame in range(1 << 17):  # 512 MB, more than any of the guests has
        try:
            pages.append(prog.read(frame << 12, 4096, physical=True))
        except drgn.FaultError:
            continue
    return b"".join(pages)


def test_nothing_of_a_programs_memory_is_in_it(dump: oopslab.LabDump, mini: Path) -> None:
    assert AGENT not in physical_memory(mini)
    if dump.truth["dump_level"] < 8:  # else makedumpfile has left programs' memory out before
        assert AGENT in physical_memory(dump.vmcore)


def test_what_was_not_kept_is_said_to_be_so(dump: oopslab.LabDump, mini: Path) -> None:
    session = opened(dump, mini, dump.modules_dir)
    text = session.prog.symbol("zlib_inflate").address
    with pytest.raises(drgn.FaultError, match="not in this minicore"):
        session.read(text, 8)


def test_the_prompt_marks_what_was_not_kept(dump: oopslab.LabDump, mini: Path) -> None:
    shell = Shell(opened(dump, mini, dump.modules_dir))
    whys = set()
    for command in ("rd zlib_inflate", "kmem -S", "foreach files", "vm 1", "foreach bt"):
        result = shell.run(command)
        assert result.error is None
        whys |= {gap.why for gap in result.gaps}
        assert "filtered out" not in result.text
    assert "not in this minicore" in whys
    assert "filtered out of the dump" not in whys
    # Of another dump in the same process it is not said.
    whole = Shell(opened(dump)).run("rd zlib_inflate")
    assert "minicore" not in whole.text


def test_crash_opens_it_and_says_the_same(dump: oopslab.LabDump, mini: Path) -> None:
    tool = shutil.which("crash")
    if tool is None or dump.truth["kernel"] != "6.1":
        pytest.skip("Debian 12's crash, which opens 6.1 dumps, is not installed")
    answers = []
    for core in (dump.vmcore, mini):
        done = subprocess.run(
            [tool, "-s", dump.vmlinux, core],
            input="sys\nbt\nps\nfiles\nlog\nmod -t\nquit\n",
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        text = done.stdout[done.stdout.index("KERNEL:") :]
        answers.append(text.replace(str(core), "CORE"))
    assert answers[0] == answers[1]


def test_scrubbed_it_has_neither_name_nor_command_line(
    dump: oopslab.LabDump, tmp_path: Path
) -> None:
    path = tmp_path / "scrubbed.vmcore"
    assert made(dump, path, "--scrub") == 0
    whole, small = analysed(opened(dump)), analysed(opened(dump, path, dump.modules_dir))
    node = whole["evidence"]["system"]["node"]
    memory = physical_memory(path)
    assert node.encode() not in memory
    assert node.encode() not in path.read_bytes()[:65536]
    assert b"rdinit=/init" not in memory
    for key in ("title", "cause", "kind", "certainty", "culprit", "fault_address", "innocent"):
        assert small["verdict"][key] == whole["verdict"][key]


def test_with_its_own_symbols_it_needs_no_debug_package(
    maker: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = maker.get(("incident", "6.1", "kdump"))
    path = tmp_path / "self.vmcore"
    assert made(dump, path, "--with-symbols") == 0
    assert path.stat().st_size < 8 << 20
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    report = analysed(open_session(path, own_symbols=True))
    whole = analysed(open_session(dump.vmcore, own_symbols=True))
    for key in ("title", "cause", "kind", "certainty", "summary", "culprit", "file_accessed"):
        assert report["verdict"][key] == whole["verdict"][key]


def test_it_is_not_written_over_the_dump_nor_where_there_is_no_place(
    maker: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = maker.get(("incident", "6.1", "kdump"))
    before = dump.vmcore.stat()
    assert made(dump, dump.vmcore) == 6
    assert dump.vmcore.stat() == before
    assert made(dump, tmp_path / "absent" / "mini.vmcore") == 6
    assert "nothing was written" in capsys.readouterr().err


def test_a_command_that_fails_is_named_and_the_rest_kept(
    maker: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = maker.get(("incident", "6.1", "kdump"))
    path = tmp_path / "mini.vmcore"
    assert made(dump, path, "--also", "nonsense") == 1
    assert "not kept: nonsense" in capsys.readouterr().err
    assert json.loads(json.dumps(analysed(opened(dump, path))))["verdict"]["cause"]
