"""The report as Markdown, for tickets and mail."""

from __future__ import annotations

import re
from typing import Any

from oopsight.report import Report
from oopsight.report.words import (
    CERTAINTY,
    ago,
    crash_seconds,
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
    verdict = report["verdict"]
    alone = ""
    if verdict["cause_certainty"] != verdict["certainty"]:
        alone = f"; the cause by itself is {verdict['cause_certainty']}"
    lines = [
        f"# {_plain(verdict['title'])}",
        "",
        f"**{_plain(verdict['summary'])}**",
        "",
        f"Certainty: {verdict['certainty']} ({CERTAINTY[verdict['certainty']]}){alone}. "
        f"Kind: {verdict['kind']}. Cause: {_plain(verdict['cause'] or 'unknown')}.",
        "",
    ]
    for problem in (report["dump"] or {}).get("problems", []):
        lines += [f"The dump is not whole: {_plain(problem)}.", ""]
    basis = limited_basis(report)
    if basis:
        lines += [f"Read with {_plain(basis)}.", ""]
    where = machine(report)
    if where:
        lines += [f"Machine: {_plain(where)}.", ""]
    if report["timeline"]:
        crash = crash_seconds(report)
        lines += ["## What happened", "", "| before the crash | what | |", "| ---: | --- | --- |"]
        lines += [
            f"| {ago(crash - e['seconds'])} | {e['what']} | {_cell(event_text(e))} |"
            for e in report["timeline"]
        ]
        lines.append("")
    if report["chain"]:
        lines += ["## Proof", ""]
        for number, step in enumerate(report["chain"], 1):
            shown = ", ".join(_code(pointer["command"]) for pointer in step["because"])
            lines.append(f"{number}. {_plain(step['claim'])} ({shown})")
        lines.append("")
    if verdict["innocent"]:
        lines += ["## Not to blame", ""]
        lines += [f"- {_plain(i['module'])}: {_plain(i['why'])}" for i in verdict["innocent"]]
        lines.append("")
    if verdict["advice"]:
        lines += ["## What to do", ""]
        lines += [f"- {_plain(advice)}" for advice in verdict["advice"]]
        lines.append("")
    if report["mail"]:
        module = _plain(verdict["culprit"]["module"])
        lines += [f"## Mail to the vendor of {module}", "", "```text"]
        lines += [line.replace("```", "'''") for line in report["mail"].splitlines()]
        lines += ["```", ""]
    missing = gaps(report)
    if missing:
        lines += ["## What could not be checked", ""]
        lines += [f"- {_plain(name)}: {_plain(why)}" for name, why in missing]
        lines.append("")
    lines += ["## Backtrace", "", "```"]
    for frame in report["evidence"].get("backtrace", {}).get("frames", []):
        lines.append(
            f"#{frame['index']:<3} {frame['role']:<11} {frame['pc']} {frame_text(frame)}".replace(
                "```", "'''"
            )
        )
    lines += ["```", ""]
    return "\n".join(lines)
