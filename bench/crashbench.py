#!/usr/bin/env python3
"""How often is Oopsight right? Every dump of the lab against its truth, written as Markdown.

Two baselines are computed from the same dumps: blaming the function on top of the crashed stack,
and blaming the first one that is not plumbing. Dumps that are not there yet are made (QEMU, some
10 s each) unless ``--made`` is given.

    .venv/bin/python bench/crashbench.py -o bench/CRASHBENCH.md
    .venv/bin/python bench/crashbench.py --only 'null|freed' --kernel 6.1 --misses
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

import oopslab
from oopslab.judge import Judgement, judge
from oopslab.kernel import SERIES
from oopslab.make import directory
from oopslab.scenario import load

LIMIT = 300  # seconds for one analysis
SYMBOLS = {"debuginfo": "auto", "dump": "dump"}
"""Ways to symbols by their name in the table: a debug package and the files of the modules, which
the lab keeps beside each dump, or only what the dump holds."""
ANSWERS = {
    "kind": "kind of crash",
    "cause": "cause",
    "module": "culprit module",
    "function": "culprit function, first named",
    "function of 3": "culprit function, among the first three",
    "file": "file accessed",
    "trigger": "triggering task",
    "innocent": "no innocent module blamed",
}


@dataclass(frozen=True)
class Case:
    """One dump, and its truth."""

    scenario: str
    kernel: str
    capture: str
    dump: oopslab.LabDump

    @property
    def name(self) -> str:
        """Short and unique."""
        return f"{self.scenario}-{self.kernel}-{self.capture}"


@dataclass(frozen=True)
class Guess:
    """Whom a baseline blames, and whether that is right."""

    module: str | None
    function: str | None
    module_right: bool
    function_right: bool | None  # None: the truth leaves the function open


@dataclass(frozen=True)
class Outcome:
    """One analysis."""

    case: Case
    seconds: float
    report: dict[str, Any] | None
    error: str
    judgement: Judgement | None

    def guess(self, role: Callable[[dict[str, Any]], bool]) -> Guess:
        """Whom one blames who takes the innermost frame that *role* accepts."""
        truth = self.case.dump.truth
        fact = self.report["evidence"].get("backtrace", {}) if self.report else {}
        frame = next((f for f in fact.get("frames", ()) if role(f)), {})
        module, function = frame.get("module"), frame.get("function")
        functions = truth["culprit_functions"]
        return Guess(
            module,
            function,
            module == truth["culprit_module"],
            function in functions if functions else None,
        )


def top(frame: dict[str, Any]) -> bool:
    """The frame on top of the crashed stack, below the kernel's own dealing with the crash."""
    return frame["role"] not in ("panic-path", "user")


def behind_plumbing(frame: dict[str, Any]) -> bool:
    """The first frame on the way out that is no plumbing."""
    return frame["role"] in ("fault", "caller") and frame["plumbing"] is None


BASELINES = {"the top frame": top, "the first frame that is no plumbing": behind_plumbing}


def cases(args: argparse.Namespace) -> Iterator[Case]:
    """The dumps asked for; one that cannot be made is told and left out."""
    for name in oopslab.scenarios():
        settings = load(name).settings
        wanted = not args.only or re.search(args.only, name)
        if not wanted or (settings.heavy and not args.only):
            continue
        for kernel in settings.kernels:
            if kernel not in args.kernel:
                continue
            for capture in settings.captures:
                case = made(name, kernel, capture, args)
                if case is not None:
                    yield case


def made(name: str, kernel: str, capture: str, args: argparse.Namespace) -> Case | None:
    """One dump, from the cache or made now."""
    if args.made and not directory(name, kernel, capture, args.rename).exists():
        return None
    try:
        dump = oopslab.ensure(name, kernel, capture, rename=args.rename)
    except oopslab.LabError as error:
        print(f"left out {name} {kernel} {capture}: {error}", file=sys.stderr)
        return None
    return Case(name, kernel, capture, dump)


def analyzed(case: Case, symbols: str) -> Outcome:
    """Run the program once, as a user does."""
    command = [sys.executable, "-m", "oopsight", "analyze", str(case.dump.vmcore)]
    command += ["--format", "json", "--symbols", SYMBOLS[symbols]]
    if symbols == "debuginfo":
        command += ["--debug-dir", str(case.dump.debug_dir)]
    started = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return Outcome(case, LIMIT, None, f"not finished after {LIMIT} s", None)
    seconds = time.perf_counter() - started
    if done.returncode:
        return Outcome(case, seconds, None, done.stderr.strip()[-300:], None)
    report = json.loads(done.stdout)
    return Outcome(case, seconds, report, "", judge(report, case.dump.truth))


def share(right: int, of: int) -> str:
    """An exact count with its percentage."""
    return f"{right} / {of} ({100 * right / of:.0f} %)" if of else "none"


def scores(outcomes: list[Outcome]) -> Iterator[tuple[str, str]]:
    """What is measured, and how often it was right. A failed analysis is wrong in everything."""
    for answer, label in ANSWERS.items():
        asked = [o for o in outcomes if o.judgement is None or answer in o.judgement.answers]
        right = [o for o in asked if o.judgement and o.judgement.answers[answer].right]
        yield label, share(len(right), len(asked))
    wrong = [o for o in outcomes if o.judgement and o.judgement.confident_and_wrong]
    yield "confident and wrong", share(len(wrong), len(outcomes))
    rescued = [o for o in outcomes if o.guess(behind_plumbing).function_right is False]
    right = [o for o in rescued if o.judgement and o.judgement.answers["function"].right]
    yield (
        "function right where the first frame that is no plumbing is wrong",
        share(len(right), len(rescued)),
    )
    seconds = [outcome.seconds for outcome in outcomes]
    yield "seconds, median", f"{statistics.median(seconds):.2f}"
    yield "seconds, most", f"{max(seconds):.2f}"


def baseline_scores(outcomes: list[Outcome]) -> Iterator[tuple[str, str, str]]:
    """Of each baseline, how often its module and its function were right."""
    for label, role in BASELINES.items():
        guesses = [outcome.guess(role) for outcome in outcomes]
        asked = [g for g in guesses if g.function_right is not None]
        yield (
            label,
            share(sum(g.module_right for g in guesses), len(guesses)),
            share(sum(bool(g.function_right) for g in asked), len(asked)),
        )


def markdown(results: dict[str, list[Outcome]], args: argparse.Namespace) -> Iterator[str]:
    """The whole text: tables of each kernel."""
    yield "# CrashBench"
    yield ""
    yield (
        "Made by `bench/crashbench.py`; the truth of each dump is in `lab/scenarios`. With "
        "debuginfo, the kernel's debug package is at hand and the modules' files, which lie beside "
        "the dump."
        + (
            f" All names of the modules were drawn at random (seed {args.rename})."
            * bool(args.rename)
        )
        + (f" {args.jobs} analyses at a time, which spoils the seconds." * (args.jobs > 1))
    )
    for series in SERIES:
        chosen = {
            name: [outcome for outcome in outcomes if outcome.case.kernel == series]
            for name, outcomes in results.items()
        }
        chosen = {name: outcomes for name, outcomes in chosen.items() if outcomes}
        if chosen:
            yield ""
            yield from section(chosen)


def section(results: dict[str, list[Outcome]]) -> Iterator[str]:
    """The tables of one kernel, and its misses."""
    first = next(iter(results.values()))
    (release,) = {outcome.case.dump.truth["release"] for outcome in first}
    yield f"## {release}"
    yield ""
    yield f"{len(first)} dumps of {len({o.case.scenario for o in first})} scenarios."
    yield ""
    columns = [dict(scores(outcomes)) for outcomes in results.values()]
    yield f"| right | {' | '.join(f'symbols: {name}' for name in results)} |"
    yield "|---|" + "---:|" * len(columns)
    for label in columns[0]:
        yield f"| {label} | {' | '.join(column[label] for column in columns)} |"
    yield ""
    yield "| baseline, from the same stacks | module | function |"
    yield "|---|---:|---:|"
    for row in baseline_scores(first):
        yield f"| {' | '.join(row)} |"
    for name, outcomes in results.items():
        missed = list(misses(outcomes))
        yield ""
        yield f"Wrong or left open with symbols: {name}{':' if missed else ': nothing.'}"
        if missed:
            yield ""
            yield from missed


def misses(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """A line for each dump with a wrong answer."""
    for outcome in outcomes:
        if outcome.judgement is None:
            yield f"- {outcome.case.name}: failed: {outcome.error}"
            continue
        told = [
            f"{name}: {outcome.judgement.answers[name].got}"
            f" instead of {outcome.judgement.answers[name].expected}"
            for name in outcome.judgement.wrong
        ]
        if told:
            confident = "**confident and wrong** " * outcome.judgement.confident_and_wrong
            yield f"- {outcome.case.name}: {confident}{'; '.join(told)}"


def main() -> int:
    """Analyse every dump in every way, print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--kernel", action="append", choices=SERIES, help="series; default: all")
    parser.add_argument("--only", metavar="REGEX", help="scenarios whose name matches")
    parser.add_argument("--rename", metavar="SEED", help="modules and functions named at random")
    parser.add_argument("--symbols", action="append", choices=SYMBOLS, help="default: both")
    parser.add_argument("--jobs", type=int, default=1, help="at a time; more spoil the seconds")
    parser.add_argument("--made", action="store_true", help="only the dumps that are there")
    parser.add_argument("--misses", action="store_true", help="print the misses alone")
    parser.add_argument("-o", "--output", type=Path, help="write the table there")
    args = parser.parse_args()
    args.kernel = args.kernel or list(SERIES)
    results: dict[str, list[Outcome]] = {name: [] for name in args.symbols or SYMBOLS}
    chosen = list(cases(args))
    if not chosen:
        parser.error("no dump to analyse")
    with ThreadPoolExecutor(args.jobs) as pool:
        for name, outcomes in results.items():
            outcomes.extend(pool.map(lambda case, name=name: analyzed(case, name), chosen))
    if args.misses:
        for name, outcomes in results.items():
            print(f"symbols: {name}", *misses(outcomes), sep="\n")
        return 0
    text = "\n".join(markdown(results, args)) + "\n"
    if args.output:
        args.output.write_text(text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
