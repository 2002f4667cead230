from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from trees import FakeProbe, Tree, build

from oopsight.kdump import collect
from oopsight.kdump.checks import Host
from oopsight.kdump.host import Ran
from oopsight.kdump.target import Kind, Target

FOLDER = "/var/crash/202311142210"
DUMP = f"{FOLDER}/dump.202311142210"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return build(tmp_path / "host", "debian12")


class Analyst(FakeProbe):
    def __init__(self, code: int = 0) -> None:
        super().__init__()
        self.code = code

    def run(self, argv: Sequence[str], timeout: float = 600) -> Ran | None:
        self.ran.append(tuple(argv))
        out = '{"verdict": "a stale pointer"}' if "json" in argv else "a stale pointer\n"
        return Ran(self.code, out, "no symbols")


def run(tree: Tree, probe: FakeProbe) -> list[str]:
    return [each.line for each in collect.collect(Host(tree.host.root, probe))]


def test_a_new_dump_gets_its_report_once(tree: Tree) -> None:
    tree.put(DUMP)
    assert run(tree, Analyst()) == [f"kernel crash dump {DUMP}: a stale pointer"]
    assert tree.text(f"{FOLDER}/report.txt") == "a stale pointer\n"
    assert "a stale pointer" in tree.text(collect.MOTD)
    assert run(tree, Analyst()) == []


def test_a_failed_analysis_is_told_and_tried_again(tree: Tree) -> None:
    tree.put(DUMP)
    assert "no symbols" in run(tree, Analyst(code=4))[0]
    assert "no symbols" in tree.text(f"{FOLDER}/report.txt")
    assert len(run(tree, Analyst())) == 1


def test_a_dump_being_written_is_left_in_peace(tree: Tree) -> None:
    tree.put(f"{FOLDER}/dump-incomplete")
    tree.put(f"{FOLDER}/vmcore-incomplete")
    assert run(tree, Analyst()) == []


def test_units_only_where_something_can_analyse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/opt/oopsight-kdump.pyz"])
    monkeypatch.setattr("shutil.which", lambda _, **__: None)
    target = Target(Kind.PATH, path="/srv/100%/crash")
    assert collect.units(target) == {}
    monkeypatch.setattr("shutil.which", lambda name, **_: f"/usr/bin/{name}")
    texts = collect.units(target).values()
    assert any("ExecStart=/usr/bin/oopsight kdump collect\n" in text for text in texts)
    assert any("PathChanged=/srv/100%%/crash\n" in text for text in texts)
    assert collect.units(Target(Kind.NFS, where="store:/crash")) == {}


def test_the_newest_dump_is_analysed_last_and_told(tree: Tree) -> None:
    for day, age in ((1, 300), (2, 100), (3, 200)):
        path = f"/var/crash/2023111{day}/dump.2023111{day}"
        tree.put(path)
        os.utime(tree.folder / path.lstrip("/"), (1_700_000_000 - age,) * 2)
    lines = run(tree, Analyst())
    assert ["20231111" in lines[0], "20231113" in lines[1], "20231112" in lines[2]] == [True] * 3
    assert "20231112" in tree.text(collect.MOTD)


def test_the_hook_is_run_with_dump_and_line(tree: Tree) -> None:
    tree.put(DUMP)
    tree.put(collect.HOOK)
    probe = Analyst()
    line = run(tree, probe)[0]
    assert (collect.HOOK, DUMP, line) in probe.ran
