"""The report for a terminal: rich where it is one, sensible without colour and in a pipe.

Sentences are wrapped with their indentation kept. Lines of the log, code and commands are wrapped
on a terminal only, so that in a pipe each stays one line.
"""

from __future__ import annotations

import os
import textwrap
from typing import IO, TYPE_CHECKING, Any

from oopsight.report import Report
from oopsight.report.words import (
    CERTAINTY,
    ago,
    blamed_as,
    crash_seconds,
    culprit_text,
    event_text,
    frame_text,
    gaps,
    guessed_frames,
    limited_basis,
    machine,
)

if TYPE_CHECKING:
    from rich.console import Console

_STYLE = {"shown": "bold green", "inferred": "bold yellow", "possible": "bold magenta"}
_EVENT_STYLE = {"crash": "bold red", "panic": "red", "error": "yellow", "taint": "yellow"}
_READABLE = 100
"""Columns beyond which a sentence is hard to read."""
_PIPE = 1 << 16
_NARROW = 70


class _Page:
    """Prints lines of text, wrapped with a hanging indentation."""

    def __init__(self, console: Console) -> None:
        self._console = console
        wraps = console.is_terminal or "COLUMNS" in os.environ
        self.width = console.width if wraps else _PIPE
        self.narrow = self.width < _NARROW

    def heading(self, text: str) -> None:
        self.line("")
        self.line(text, style="bold")

    def line(self, text: str, first: str = "", style: str = "", *, prose: bool = False) -> None:
        """Print one paragraph.

        :param first: stands before the first line; further lines are indented as deep
        :param prose: a sentence, also wrapped in a pipe
        """
        from rich.text import Text

        width = min(self.width, _READABLE) if prose else self.width
        hang = min(len(first), max(0, width // 3))
        lines = textwrap.wrap(
            text,
            width,
            initial_indent=first[: max(0, width - 1)],
            subsequent_indent=" " * hang,
            break_on_hyphens=False,
            replace_whitespace=False,
            drop_whitespace=prose,
        )
        for row in lines or [first.rstrip()]:
            self._console.print(Text(row.rstrip(), style=style), soft_wrap=True)


def to_terminal(report: Report, file: IO[str]) -> None:
    """Print in the order in which it is read: verdict, events, proof, what to do, gaps, details."""
    from rich.console import Console

    page = _Page(Console(file=file, highlight=False, markup=False, emoji=False))
    _verdict(page, report)
    _events(page, report)
    _proof(page, report)
    _advice(page, report)
    _details(page, report)


def _verdict(page: _Page, report: Report) -> None:
    verdict = report["verdict"]
    page.line(verdict["title"], style="bold red", prose=True)
    page.line(verdict["summary"], prose=True)
    page.line("")

    def row(name: str, text: str, style: str = "") -> None:
        page.line(text, f"{name + ':' if name else '':<11}", style, prose=True)

    certainty = verdict["certainty"]
    row("certainty", f"{certainty}: {CERTAINTY[certainty]}", _STYLE.get(certainty, "bold"))
    if verdict["cause_certainty"] != certainty:
        row("", f"the cause by itself is {verdict['cause_certainty']}; who is to blame is not")
    row("kind", f"{verdict['kind']}, cause: {verdict['cause'] or 'unknown'}")
    for culprit in verdict["culprits"]:
        row(blamed_as(verdict), culprit_text(culprit))
    trigger = verdict["trigger"]
    if trigger:
        row("task", " <- ".join(f"{t['comm']} ({t['pid']})" for t in trigger["ancestry"]))
    if verdict["file_accessed"]:
        row("file", verdict["file_accessed"])
    address = report["evidence"].get("address", {})
    if "kind" in address:
        row("address", f"{address['address']}: {address['kind']}, {address['detail']}")
    where = machine(report)
    if where:
        row("machine", where)
    basis = limited_basis(report)
    if basis:
        row("read with", basis)
    unwound = guessed_frames(report)
    if unwound:
        row("frames", unwound)
    if (report["dump"] or {}).get("minicore"):
        row("dump", "a minicore: it holds what an analysis of the whole dump has read, no more")
    for problem in (report["dump"] or {}).get("problems", []):
        page.line(f"the dump is not whole: {problem}", style="bold yellow", prose=True)


def _events(page: _Page, report: Report) -> None:
    events = report["timeline"]
    if not events:
        return
    page.heading("What happened (time before the crash)")
    crash = crash_seconds(report)
    for event in events:
        when = ago(crash - event["seconds"])
        first = f"{when:>9} " if page.narrow else f"  {when:>11}  {event['what']:<8}"
        page.line(event_text(event), first, _EVENT_STYLE.get(event["what"], ""))


def _proof(page: _Page, report: Report) -> None:
    if report["chain"]:
        page.heading("Proof")
    for number, step in enumerate(report["chain"], 1):
        page.line(step["claim"], f"{number:>3}. ", prose=True)
        for command in dict.fromkeys(pointer["command"] for pointer in step["because"]):
            page.line(command, "       crash> ", "dim")


def _advice(page: _Page, report: Report) -> None:
    verdict = report["verdict"]
    if verdict["innocent"]:
        page.heading("Not to blame")
        for innocent in verdict["innocent"]:
            page.line(f"{innocent['module']}: {innocent['why']}", "  - ", prose=True)
    if verdict["advice"]:
        page.heading("What to do")
        for advice in verdict["advice"]:
            page.line(advice, "  - ", prose=True)
    if report["mail"]:
        page.heading(f"Mail to the vendor of {verdict['culprit']['module']}")
        for line in report["mail"].splitlines():
            page.line(line, "    ", prose=True)
    missing = gaps(report)
    if missing:
        page.heading("What could not be checked")
        for name, why in missing:
            page.line(f"{name}: {why}", "  - ", prose=True)


def _details(page: _Page, report: Report) -> None:
    code = report["evidence"].get("code", {})
    if code.get("source"):
        page.heading(f"Source: {code['source_file']}")
        for line in code["source"]:
            mark = ">" if line["faulted"] else " "
            style = "bold" if line["faulted"] else ""
            page.line(line["text"], f"  {mark} {line['number']:>5}  ", style)
    if code.get("instructions"):
        page.heading("Code")
        for row in code["instructions"]:
            mark = ">" if row["faulted"] else " "
            page.line(row["text"], f"  {mark} {row['address']}  ", "bold" if row["faulted"] else "")
    _frames(page, report["evidence"].get("backtrace", {}))


def _frames(page: _Page, backtrace: dict[str, Any]) -> None:
    frames = backtrace.get("frames", [])
    if frames:
        page.heading("Backtrace")
    inner = ""
    for frame in frames:
        role = frame["role"]
        if role != inner and role == "fault":
            page.line(f"--- {backtrace['exception'] or 'interrupted'} ---", "      ")
        elif role != inner and role in ("user", "interrupted"):
            page.line({"user": "--- user space ---"}.get(role, "--- interrupted ---"), "      ")
        inner = role
        mark = ">" if role == "fault" else " "
        style = "bold" if role == "fault" else "dim" if role != "caller" else ""
        page.line(frame_text(frame), f"  {mark} #{frame['index']:<2} ", style)
