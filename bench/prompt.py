"""Times the prompt, drgn's crash mode and ``crash`` at the same commands, as whole processes.

A job is a line of commands separated by ``;``; the empty one opens the dump and ends. After one
warm-up the tools take turns. Prints a Markdown table for each job; standard library only.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from compare import Tool, copied, first_line, measure

SLOW = 30.0
"""Seconds: what takes longer is measured once, in the warm-up."""


def tools(args: argparse.Namespace, job: str, inside: list[str]) -> list[Tool]:
    """Ours with both kinds of symbols, then the others."""
    vmlinux, vmcore = str(args.vmlinux), str(args.vmcore)
    typed = "".join(f"{command.strip()}\n" for command in job.split(";"))
    name = first_line(str(args.oopsight), "--version")
    ours = [str(args.oopsight), "shell", vmcore, "--no-crashrc", "-s", "-c", f"{job}; eval 1"]
    found = [
        Tool(f"{name}, debug package", [*ours, "--debug-dir", str(args.debug_dir)]),
        Tool(f"{name}, dump's own symbols", [*ours, "--symbols", "dump"]),
    ]
    if args.drgn_python:
        drgn_crash = str(args.drgn_python.with_name("drgn-crash"))
        # Every tool says something, or a run that failed would look like a fast one.
        found.append(Tool("drgn-crash", [drgn_crash, vmlinux, vmcore], f"{typed}eval 1\n"))
    if args.crash9_root:
        chroot = ["chroot", str(args.crash9_root), "crash"]
        version = first_line(*chroot, "--version")
        found.append(Tool(version, [*chroot, "-s", *inside], f"{typed}eval 1\nquit\n"))
    return found


def run_job(args: argparse.Namespace, job: str, inside: list[str]) -> None:
    """One job with all tools, and its table."""
    found = tools(args, job, inside)
    for tool in found:
        warm = measure(tool)
        if warm.wall > SLOW:
            tool.runs.append(warm)
    fast = [tool for tool in found if not tool.runs]
    for _ in range(args.runs):
        for tool in fast:
            tool.runs.append(measure(tool))
    print(f"\n`{job or 'open, quit'}`\n")
    print("| tool | wall, median s | min-max s | CPU, median s | peak RSS, MiB | runs |")
    print("|---|---:|---:|---:|---:|---:|")
    for tool in found:
        walls = [run.wall for run in tool.runs]
        cpu = statistics.median(run.cpu for run in tool.runs)
        peak = statistics.median(run.peak for run in tool.runs)
        print(
            f"| {tool.name} | {statistics.median(walls):.2f} | {min(walls):.2f}-{max(walls):.2f} "
            f"| {cpu:.2f} | {peak:.0f} | {len(walls)} |"
        )


def main() -> None:
    """Read the arguments and run the jobs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vmcore", type=Path, required=True)
    parser.add_argument("--vmlinux", type=Path, required=True, help="with debug information")
    parser.add_argument("--debug-dir", type=Path, required=True, help="that vmlinux lies below")
    parser.add_argument("--oopsight", type=Path, required=True)
    parser.add_argument("--drgn-python", type=Path, help="python beside a drgn-crash")
    parser.add_argument("--crash9-root", type=Path, help="root file system with crash 9")
    parser.add_argument("-n", dest="runs", type=int, default=5)
    parser.add_argument("jobs", nargs="+", metavar="JOB")
    args = parser.parse_args()
    with copied(args.crash9_root, args.vmlinux, args.vmcore) as inside:
        for job in args.jobs:
            run_job(args, job, inside)


if __name__ == "__main__":
    main()
