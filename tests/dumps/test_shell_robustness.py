"""All commands with all options, on dumps whole, cut off, with holes, and filtered to the bone."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import shell_sweep

import oopslab

# Of which dump, and what is done to it.
DUMPS = [
    ("incident", "6.1", "qmp", "whole"),
    ("incident", "6.12", "kdump", "whole"),
    ("incident", "6.1", "kdump", "holes"),
    ("incident", "6.1", "kdump", "cut"),
    ("incident-overfiltered", "6.12", "qmp", "whole"),
    ("incident", "5.10", "qmp", "whole"),
    ("incident", "5.10", "qmp", "holes"),
    ("incident", "5.10", "qmp", "cut"),
    ("incident", "7.2", "qmp", "whole"),
    ("incident", "7.2", "qmp", "holes"),
    ("incident", "7.2", "qmp", "cut"),
]


def _damaged(vmcore: Path, how: str, folder: Path) -> Path:
    if how == "whole":
        return vmcore
    data = bytearray(vmcore.read_bytes())
    if how == "cut":
        data = data[: int(len(data) * 0.6)]
    else:
        chance = random.Random(1)  # noqa: S311  # the holes shall be the same in each run
        pages = range(4 << 20, len(data) - 4096, 4096)
        for offset in chance.sample(pages, len(pages) // 10):
            data[offset : offset + 4096] = bytes(4096)
    path = folder / "damaged.vmcore"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("scenario", "kernel", "capture", "how"), DUMPS)
def test_no_command_ends_in_a_defect_or_takes_long(
    scenario: str, kernel: str, capture: str, how: str, tmp_path: Path
) -> None:
    try:
        dump = oopslab.ensure(scenario, kernel=kernel, capture=capture)
    except oopslab.LabUnavailable as error:
        pytest.skip(str(error))
    vmcore = _damaged(dump.vmcore, how, tmp_path)
    if how == "cut":
        done = _apart(vmcore, dump.debug_dir)
        if done is None:
            return
    else:
        done = shell_sweep.sweep(vmcore, dump.debug_dir, slow=how == "whole")
    if "refused" in done:
        assert how != "whole"
        return
    assert done["ran"] > 500
    assert not done["wrong"]


def _apart(vmcore: Path, debug_dir: Path) -> dict[str, Any] | None:
    """In a process of its own, which a read behind the end of the file may end: then None."""
    command = [sys.executable, shell_sweep.__file__, str(vmcore), str(debug_dir)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGBUS:
        return None
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result
