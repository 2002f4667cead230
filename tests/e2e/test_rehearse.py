"""Rehearsals with a real Debian's capture kernel: enough memory, and 64 MiB too little."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from conftest import PACKAGES, PATIENCE
from oopsight.cli import main
from oopsight.kdump import plan
from oopsight.kdump.checks import Host
from oopsight.kdump.host import Root
from oopslab import payload
from oopslab.cache import locked, new_directory, root
from oopslab.disk import copy, extract, installed
from oopslab.errors import LabUnavailable
from oopslab.kernel import Kernel
from oopslab.server import Server

MiB = 1 << 20
TOO_SMALL_BY = 64


@pytest.fixture(scope="module")
def host(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A server with kdump-tools: its disk, and the files of it that a rehearsal reads."""
    try:
        base = installed(kernel)
    except LabUnavailable as error:
        pytest.skip(str(error))
    target = root() / "disks" / f"{base.name}-kdump"
    with locked(target):
        if not target.exists():
            with new_directory(target) as work:
                install_kdump(kernel, base, work, tmp_path_factory.mktemp("gifts"))
    return target


def install_kdump(kernel: Kernel, base: Path, work: Path, gifts: Path) -> None:
    disk = copy(base / "disk.img", work / "disk.img")
    payload.repository(kernel, PACKAGES, gifts / "tree" / "debs")
    image = payload.disk(gifts / "tree", gifts / "gifts.img")
    machine = Server(gifts / "machine", [disk, image], patience=PATIENCE)
    with machine.running():
        machine.log_in()
        machine.shell(
            "mount /dev/vdb1 /mnt && echo 'deb [trusted=yes] file:/mnt/debs ./' "
            ">/etc/apt/sources.list && apt-get -qq update"
        )
        install = f"DEBIAN_FRONTEND=noninteractive apt-get -qq -y install {' '.join(PACKAGES)}"
        machine.shell(install, timeout=600)
        # What its service does at the next boot.
        machine.shell(f"/etc/kernel/postinst.d/kdump-tools {kernel.release}", timeout=600)
        machine.shell(f"kdump-config symlinks {kernel.release}", check=False)
        machine.power_off()
    tree = work / "tree"
    extract(disk, ("/boot", "/etc", "/usr", "/var/lib/kdump"), tree)
    for folder in ("bin", "sbin", "lib", "lib64"):
        (tree / folder).symlink_to(f"usr/{folder}")
    (tree / "var/crash").mkdir()
    (tree / "proc").mkdir()
    (tree / "proc/meminfo").write_text("MemTotal: 2097152 kB\n")
    shutil.rmtree(tree / "usr/share")


def rehearse(host: Path, capsys: pytest.CaptureFixture[str], memory: int) -> tuple[int, dict]:  # type: ignore[type-arg]
    argv = ["kdump", "rehearse", "--root", str(host / "tree"), "--disk", str(host / "disk.img")]
    argv += ["--memory", f"{memory}M", "--accel", "tcg", "--json"]
    argv += ["--timeout", str(600 * PATIENCE)]
    code = main(argv)
    return code, json.loads(capsys.readouterr().out)


def test_what_setup_would_reserve_suffices_and_64_less_does_not(
    host: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    estimated = int(plan.make(Host(Root(host / "tree"))).crashkernel.removesuffix("M"))
    code, enough = rehearse(host, capsys, estimated)
    assert (code, enough["outcome"]) == (0, "saved")
    assert enough["suffices"] is True
    assert 32 * MiB < enough["used"] < estimated * MiB
    code, scarce = rehearse(host, capsys, estimated - TOO_SMALL_BY)
    assert scarce["suffices"] is False
    assert code in {1, 2}
    assert scarce["outcome"] in {"no-memory", "tight", "failed", "not-loaded"}
