"""Runs every command line of the prompt on one dump: ``shell_sweep.py VMCORE DEBUG_DIR``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from shell_lines import lines

from oopsight.errors import DumpError, SymbolError
from oopsight.session import open_session
from oopsight.shell import Shell

SECONDS = 10.0
# These read all memory or list hundreds of thousands of lines.
SLOW = ("search", "refs", "what -r", "kmem -p", "kmem -m", "kmem -F", "sym -l")


def sweep(vmcore: Path, debug_dir: Path, *, slow: bool) -> dict[str, object]:
    """How many lines ran, and which ended in a defect or took long; ``refused`` if not opened."""
    try:
        shell = Shell(open_session(vmcore, debug_directories=(debug_dir,)))
    except (DumpError, SymbolError) as error:
        return {"refused": str(error), "ran": 0, "wrong": []}
    wrong = []
    ran = 0
    for line in lines(shell, slow=slow):
        started = time.monotonic()
        result = shell.run(line)
        took = time.monotonic() - started
        ran += 1
        said = result.text + (result.error or "")
        if "defect of Oopsight" in said or "Traceback" in said:
            wrong.append(f"{line}: {said[-200:]}")
        if result.error is not None and "\n" in result.error:
            wrong.append(f"{line}: an error of several lines")
        if took > SECONDS and not line.startswith(SLOW):
            wrong.append(f"{line}: {took:.1f} s")
    return {"ran": ran, "wrong": wrong}


if __name__ == "__main__":
    print(json.dumps(sweep(Path(sys.argv[1]), Path(sys.argv[2]), slow=False)))  # noqa: T201
