"""The report as Markdown, for tickets and mail."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

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
    limited_basis,
    machine,
)

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")


def _plain(text: Any) -> str:
    return _SPECIAL.sub(r"\\\1", str(text))


def _code(text: Any) -> str:
    return f"`{str(text).replace('`', chr(39))}`"


def _cell(text: Any) -> str:
    """Code in a table, where a bar would end the cell."""
    return _code(text).replace("|", r"\|")


def to_markdown(report: Report) -> str:
    """Render in the order in which it is read: verdict, events, proof, what to do, gaps."""
    sections = (_verdict, _events, _proof, _innocent, _advice, _mail, _gaps, _backtrace)
    return "\n".join(line for section in sections for line in section(report))


def _verdict(report: Report) -> Iterator[str]:
    verdict = report["verdict"]
    alone = ""
    if verdict["cause_certainty"] != verdict["certainty"]:
        alone = f"; the cause by itself is {verdict['cause_certainty']}"
    yield from (f"# {_plain(verdict['title'])}", "", f"**{_plain(verdict['summary'])}**", "")
    yield (
        f"Certainty: {verdict['certainty']} ({CERTAINTY[verdict['certainty']]}){alone}. "
        f"Kind: {verdict['kind']}. Cause: {_plain(verdict['cause'] or 'unknown')}."
    )
    yield ""
    for culprit in verdict["culprits"]:
        yield f"- {blamed_as(verdict)}: {_plain(culprit_text(culprit))}"
    if verdict["culprits"]:
        yield ""
    for problem in (report["dump"] or {}).get("problems", []):
        yield from (f"The dump is not whole: {_plain(problem)}.", "")
    basis = limited_basis(report)
    if basis:
        yield from (f"Read with {_plain(basis)}.", "")
    where = machine(report)
    if where:
        yield from (f"Machine: {_plain(where)}.", "")


def _events(report: Report) -> Iterator[str]:
    if not report["timeline"]:
        return
    crash = crash_seconds(report)
    yield from ("## What happened", "", "| before the crash | what | |", "| ---: | --- | --- |")
    for event in report["timeline"]:
        yield f"| {ago(crash - event['seconds'])} | {event['what']} | {_cell(event_text(event))} |"
    yield ""


def _proof(report: Report) -> Iterator[str]:
    steps = []
    for number, step in enumerate(report["chain"], 1):
        shown = ", ".join(_code(pointer["command"]) for pointer in step["because"])
        steps.append(f"{number}. {_plain(step['claim'])} ({shown})")
    yield from _section("Proof", steps)


def _innocent(report: Report) -> Iterator[str]:
    found = report["verdict"]["innocent"]
    lines = [f"- {_plain(one['module'])}: {_plain(one['why'])}" for one in found]
    yield from _section("Not to blame", lines)


def _advice(report: Report) -> Iterator[str]:
    lines = [f"- {_plain(advice)}" for advice in report["verdict"]["advice"]]
    yield from _section("What to do", lines)


def _mail(report: Report) -> Iterator[str]:
    if report["mail"]:
        module = _plain(report["verdict"]["culprit"]["module"])
        text = map(_fenced, report["mail"].splitlines())
        yield from _section(f"Mail to the vendor of {module}", ["```text", *text, "```"])


def _gaps(report: Report) -> Iterator[str]:
    lines = [f"- {_plain(name)}: {_plain(why)}" for name, why in gaps(report)]
    yield from _section("What could not be checked", lines)


def _backtrace(report: Report) -> Iterator[str]:
    frames = report["evidence"].get("backtrace", {}).get("frames", [])
    lines = [
        _fenced(f"#{frame['index']:<3} {frame['role']:<11} {frame['pc']} {frame_text(frame)}")
        for frame in frames
    ]
    yield from _section("Backtrace", ["```", *lines, "```"])


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    """A heading and lines below it; nothing where there are none."""
    if lines:
        yield from (f"## {title}", "", *lines, "")


def _fenced(line: str) -> str:
    """A line that cannot end the block of text that it stands in."""
    return line.replace("```", "'''")
