"""crash 9.0.2 as a witness: from a Debian suite that has it, in a root file system of its own.

It needs root (chroot) and mmdebstrap; where it cannot be had, LabUnavailable says why.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from oopslab.cache import locked, new_directory, root
from oopslab.command import run
from oopslab.errors import LabError, LabUnavailable
from oopslab.packages import mirrors

SUITE = "forky"
_MARK = "@@@@"
_PATIENCE = 600  # seconds for a session of many commands


def witness() -> Path:
    """The root file system that holds crash, made on first use.

    :raises LabUnavailable: where it cannot be made
    """
    target = root() / "witness" / SUITE
    if os.geteuid() != 0:
        raise LabUnavailable("the witness runs in a chroot, which needs root")
    with locked(target):
        if (target / "usr/bin/crash").exists():
            return target
        if shutil.which("mmdebstrap") is None:
            raise LabUnavailable("the witness is made with mmdebstrap; apt-get install mmdebstrap")
        main, _ = mirrors()
        with new_directory(target) as work:
            options = ["--variant=apt", '--aptopt=Acquire::Check-Valid-Until "false"']
            source = f"deb [trusted=yes] {main} {SUITE} main"
            command = ["mmdebstrap", *options, "--include=crash,makedumpfile", SUITE]
            try:
                run([*command, str(work), source], timeout=1800)
            except LabError as error:
                raise LabUnavailable(f"Debian {SUITE} cannot be had: {error}") from error
    return target


def version() -> str:
    """What crash says of itself."""
    done = subprocess.run(
        ["chroot", witness(), "crash", "--version"], capture_output=True, text=True, check=False
    )
    return next((line.strip() for line in done.stdout.splitlines() if line.strip()), "")


def outputs(vmlinux: Path, vmcore: Path, commands: list[str]) -> dict[str, str]:
    """What crash answers to each command on a dump, all in one session."""
    place = witness() / "dump" / f"{os.getpid()}"
    place.mkdir(parents=True, exist_ok=True)
    try:
        for name, file in (("vmlinux", vmlinux), ("vmcore", vmcore)):
            _give(file.resolve(), place / name)
        lines = ["set scroll off"]
        for number, command in enumerate(commands):
            lines += [f"!echo {_MARK}{number}", command]
        lines += [f"!echo {_MARK}end", "", "quit", ""]
        (place / "commands").write_text("\n".join(lines))
        inside = f"cd /dump/{place.name} && HOME=/root LC_ALL=C exec crash -s vmlinux vmcore <commands 2>&1"  # noqa: E501  # one command
        done = subprocess.run(
            ["chroot", witness(), "sh", "-c", inside],
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)
    parts = re.split(rf"{_MARK}(\w+)\n", done.stdout.decode("utf-8", "replace"))
    return {
        commands[int(number)]: text
        for number, text in zip(parts[1::2], parts[2::2], strict=True)
        if number != "end"
    }


def _give(file: Path, place: Path) -> None:
    """The file inside the root: a link where it is on the same disk, else a copy."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)
