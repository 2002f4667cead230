"""Rehearsals of the server that the story left: enough memory, and 64 MiB too little."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from oopsight.cli import main
from oopsight.kdump import plan
from oopsight.kdump.checks import Host
from oopsight.kdump.host import Root
from oopslab.command import run
from oopslab.disk import START, extract
from oopslab.server import Server

MiB = 1 << 20
TOO_SMALL_BY = 64
DUMPS = 2  # that the story left


@pytest.fixture(scope="module")
def tree(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the server that a rehearsal reads, once it is off."""
    memory = server.shell("cat /proc/meminfo")
    server.power_off()
    target = tmp_path_factory.mktemp("tree")
    extract(server.disks[0], ("/boot", "/etc", "/usr", "/var/lib/kdump"), target)
    for folder in ("bin", "sbin", "lib", "lib64"):
        (target / folder).symlink_to(f"usr/{folder}")
    (target / "var/crash").mkdir()
    (target / "proc").mkdir()
    (target / "proc/meminfo").write_text(memory)
    return target


def rehearse(
    tree: Path, server: Server, capsys: pytest.CaptureFixture[str], memory: int
) -> tuple[int, dict[str, Any]]:
    argv = ["kdump", "rehearse", "--root", str(tree), "--memory", f"{memory}M", "--json"]
    for disk in server.disks:
        argv += ["--disk", str(disk)]
    argv += ["--accel", "tcg", "--timeout", str(600 * server.patience)]
    code = main(argv)
    return code, json.loads(capsys.readouterr().out)


def test_what_setup_reserves_suffices_and_64_less_does_not(
    server: Server, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    estimated = int(plan.make(Host(Root(tree))).crashkernel.removesuffix("M"))
    code, enough = rehearse(tree, server, capsys, estimated)
    assert (code, enough["outcome"]) == (0, "saved"), enough
    assert enough["suffices"] is True
    assert 32 * MiB < enough["used"] < estimated * MiB
    code, scarce = rehearse(tree, server, capsys, estimated - TOO_SMALL_BY)
    assert code in {1, 2}
    assert scarce["suffices"] is False
    assert scarce["outcome"] in {"no-memory", "tight", "failed", "not-loaded"}


def test_the_servers_disks_are_as_they_were(server: Server) -> None:
    """What a rehearsal writes goes elsewhere: its dump is not on the server's disk."""
    assert server.is_off
    listing = run(["debugfs", "-R", "ls /var/crash", f"{server.disks[0]}?offset={START}"])
    assert len(re.findall(r"\b20\d{10}\b", listing)) == DUMPS
