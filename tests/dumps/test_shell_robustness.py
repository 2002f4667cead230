"""All commands with all options, on dumps whole, cut off, with holes, and filtered to the bone."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from lab_dumps import opened
from shell_lines import lines

import oopslab
from oopsight.errors import DumpError, SymbolError
from oopsight.shell import Shell

# Of which dump, and what is done to it.
DUMPS = [
    ("incident", "6.1", "qmp", "whole"),
    ("incident", "6.12", "kdump", "whole"),
    ("incident", "6.1", "kdump", "holes"),
    ("incident", "6.1", "kdump", "cut"),
    ("incident-overfiltered", "6.12", "qmp", "whole"),
]
SECONDS = 10.0
# These read all memory or list hundreds of thousands of lines.
SLOW = ("search", "refs", "what -r", "kmem -p", "kmem -m", "kmem -F", "sym -l")


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
    try:
        shell = Shell(opened(dump, _damaged(dump.vmcore, how, tmp_path)))
    except (DumpError, SymbolError):
        assert how != "whole"
        return
    wrong = []
    ran = 0
    for line in lines(shell, slow=how == "whole"):
        started = time.monotonic()
        result = shell.run(line)
        took = time.monotonic() - started
        ran += 1
        said = result.text + (result.error or "")
        if "defect of Oopsight" in said or "Traceback" in said:
            wrong.append(f"{line}: {said[-200:]}")
        if took > SECONDS and not line.startswith(SLOW):
            wrong.append(f"{line}: {took:.1f} s")
        assert result.error is None or "\n" not in result.error
    assert not wrong
    assert ran > 500
