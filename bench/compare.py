"""Times Oopsight, ``crash`` and drgn's crash mode on the same dump, as whole processes.

The debuggers are given the commands an engineer types first; Oopsight gives its verdict. After one
warm-up, which fills the page cache, the tools take turns, so that a load which comes and goes
meets all of them alike. With ``--cold`` each then runs with the dump and all symbols dropped from
the page cache; the programs themselves stay there. Prints a Markdown table; standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

COMMANDS = ("sys", "bt", "ps", "files", "log", "mod -t")
LIMIT = 300.0
"""Seconds until a run is given up."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What one process cost.

    wall, cpu: seconds; peak: resident set in MiB, the largest of the process and its children.
    """

    wall: float
    cpu: float
    peak: float
    output: bytes


@dataclasses.dataclass
class Tool:
    """One competitor: its command line, what it reads on stdin, its runs."""

    name: str
    argv: list[str]
    stdin: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    runs: list[Run] = dataclasses.field(default_factory=list)
    cold: list[Run] = dataclasses.field(default_factory=list)
    """With the dump and the symbols to be read from disk."""


def measure(tool: Tool) -> Run:
    """Run the tool once; a failure or an empty answer ends the comparison."""
    with (
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        stdin.write(tool.stdin.encode())
        stdin.seek(0)
        start = time.perf_counter()
        # The warm-up leaves compiled modules behind, as an installation does.
        environment = {**os.environ, **tool.environment, "PYTHONDONTWRITEBYTECODE": ""}
        process = subprocess.Popen(
            tool.argv, stdin=stdin, stdout=stdout, stderr=stderr, env=environment
        )
        timer = threading.Timer(LIMIT, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        timer.cancel()
        # wait4 has reaped the process behind Popen's back; without this Popen waits for it again.
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        output = stdout.read()
        if process.returncode or not output:
            complaint = stderr.read().decode(errors="replace").strip()[-500:]
            sys.exit(f"{tool.name}: exit status {process.returncode}: {complaint}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, output)


def first_line(*argv: str) -> str:
    """What a command says of its version."""
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=LIMIT)
    return next(line for line in done.stdout.splitlines() if line.strip()).strip()


@contextlib.contextmanager
def copied(root: Path | None, *files: Path) -> Iterator[list[str]]:
    """Copies of files inside a root, as paths seen from there; removed at the end."""
    if root is None:
        yield []
        return
    with tempfile.TemporaryDirectory(dir=root / "tmp") as directory:
        for file in files:
            shutil.copyfile(file, Path(directory) / file.name)
        yield [f"/{(Path(directory) / file.name).relative_to(root)}" for file in files]


def evict(*paths: Path) -> None:
    """Drop files from the page cache, as far as nobody else has them mapped."""
    for path in paths:
        for file in path.rglob("*") if path.is_dir() else [path]:
            if file.is_file():
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
                    os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def competitors(args: argparse.Namespace, inside: list[str], cache: Path) -> list[Tool]:
    """Oopsight first: the others are compared with it.

    :param cache: for symbol packs; empty
    """
    vmlinux, vmcore = str(args.vmlinux), str(args.vmcore)
    typed = "".join(f"{command}\n" for command in COMMANDS)
    # crash takes the end of its input for an error; drgn's crash mode has no `quit` and takes it
    # for the end.
    quitting = f"{typed}quit\n"
    version = first_line(
        str(args.drgn_python), "-c", "import importlib.metadata as m; print(m.version('drgn'))"
    )
    oopsight, name = str(args.oopsight), first_line(str(args.oopsight), "--version")
    analyze = [oopsight, "analyze", vmcore, "--format", "json"]
    own = [*analyze, "--symbols", "dump"]
    nowhere = {"XDG_CACHE_HOME": os.devnull}
    tools = [
        Tool(f"{name}, dump's own symbols", own, "", {"XDG_CACHE_HOME": str(cache)}),
        Tool(f"{name}, making the pack", own, "", nowhere),
        Tool(f"{name}, debug package", [*analyze, "--debug-dir", str(args.debug_dir)]),
        Tool(first_line("crash", "--version"), ["crash", "-s", vmlinux, vmcore], quitting),
        Tool(
            f"drgn-crash {version}",
            [str(args.drgn_python.with_name("drgn-crash")), vmlinux, vmcore],
            typed,
        ),
    ]
    if args.crash9_root:
        chroot = ["chroot", str(args.crash9_root), "crash"]
        tools.append(Tool(first_line(*chroot, "--version"), [*chroot, "-s", *inside], quitting))
    return tools


def table(tools: list[Tool]) -> Iterator[str]:
    """Markdown lines: the median and the span of the wall times, the median of the peaks."""
    cold = bool(tools[0].cold)
    base_wall = statistics.median(run.wall for run in tools[0].runs)
    base_cpu = statistics.median(run.cpu for run in tools[0].runs)
    base_peak = statistics.median(run.peak for run in tools[0].runs)
    yield (
        "| tool | wall, median s | min-max s | CPU, median s | peak RSS, MiB "
        "| wall / first | CPU / first | peak / first | output lines |"
        + (" cold wall, median s | min-max s |" if cold else "")
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|" + ("---:|---:|" if cold else "")
    for tool in tools:
        walls = [run.wall for run in tool.runs]
        wall = statistics.median(walls)
        cpu = statistics.median(run.cpu for run in tool.runs)
        peak = statistics.median(run.peak for run in tool.runs)
        lines = tool.runs[-1].output.count(b"\n")
        yield (
            f"| {tool.name} | {wall:.2f} | {min(walls):.2f}-{max(walls):.2f} | {cpu:.2f} "
            f"| {peak:.0f} | {wall / base_wall:.2f} | {cpu / base_cpu:.2f} "
            f"| {peak / base_peak:.2f} | {lines} |" + (_cold(tool) if cold else "")
        )


def _cold(tool: Tool) -> str:
    walls = [run.wall for run in tool.cold]
    return f" {statistics.median(walls):.2f} | {min(walls):.2f}-{max(walls):.2f} |"


def main() -> None:
    """Measure in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vmcore", type=Path, required=True)
    parser.add_argument("--vmlinux", type=Path, required=True)
    parser.add_argument("--debug-dir", type=Path, required=True)
    parser.add_argument("--oopsight", type=Path, required=True)
    parser.add_argument(
        "--drgn-python", type=Path, required=True, help="drgn-crash is taken from beside it"
    )
    parser.add_argument(
        "--crash9-root", type=Path, help="a root file system with a newer crash; needs root"
    )
    parser.add_argument("-n", type=int, default=5, help="measured runs of each tool")
    parser.add_argument(
        "--cold",
        type=int,
        default=0,
        metavar="N",
        help="further runs of each, with dump and symbols dropped from the page cache",
    )
    args = parser.parse_args()
    if args.n < 1:
        parser.error("-n: at least 1")
    with (
        copied(args.crash9_root, args.vmlinux, args.vmcore) as inside,
        tempfile.TemporaryDirectory() as cache,
    ):
        tools = competitors(args, inside, Path(cache))
        dump = json.loads(measure(tools[0]).output)["dump"]
        for tool in tools[1:]:
            measure(tool)
        for _ in range(args.n):
            for tool in tools:
                tool.runs.append(measure(tool))
        files = [args.vmcore, args.vmlinux, Path(cache)]
        files += [args.crash9_root / path.lstrip("/") for path in inside]
        for _ in range(args.cold):
            for tool in tools:
                evict(*files)
                tool.cold.append(measure(tool))
    size = args.vmcore.stat().st_size / 1024**2
    print(
        f"Kernel {dump['release']}, {dump['format']} dump of {size:.0f} MiB, "
        f"{args.n} runs each with a warm page cache"
        f"{f', {args.cold} with a cold one' if args.cold else ''}.\n"
    )
    print(*table(tools), sep="\n")


if __name__ == "__main__":
    main()
