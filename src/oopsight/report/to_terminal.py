"""The report for a terminal: rich where it is one, sensible without colour and in a pipe."""

from __future__ import annotations

from typing import IO

from oopsight.report import Report

_STYLE = {"shown": "bold green", "inferred": "bold yellow", "possible": "bold magenta"}


def to_terminal(report: Report, file: IO[str]) -> None:
    """Print in the order in which it is read: verdict, events, proof, what to do, gaps, frames."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=file, highlight=False, markup=False, emoji=False)
    verdict = report["verdict"]

    def heading(text: str) -> None:
        console.print()
        console.print(Text(text, style="bold"))

    console.print(Text(verdict["title"], style="bold red"))
    console.print(verdict["summary"])
    console.print(
        Text("certainty: ").append(verdict["certainty"], _STYLE.get(verdict["certainty"], "bold")),
        Text(f"kind: {verdict['kind']}  cause: {verdict['cause'] or 'unknown'}"),
        sep="  ",
    )
    for problem in (report["dump"] or {}).get("problems", []):
        console.print(Text(f"the dump is not whole: {problem}", style="bold yellow"))
    trigger = verdict["trigger"]
    if trigger:
        ancestry = " <- ".join(f"{t['comm']} ({t['pid']})" for t in trigger["ancestry"])
        console.print(f"task: {ancestry}")
    if verdict["file_accessed"]:
        console.print(f"file: {verdict['file_accessed']}")
    address = report["evidence"].get("address", {})
    if "kind" in address:
        console.print(f"address: {address['address']}: {address['kind']}, {address['detail']}")
    if report["timeline"]:
        heading("What happened")
        for event in report["timeline"]:
            console.print(f"  {event['seconds']:>12.6f}  {event['text']}")
    if report["chain"]:
        heading("Proof")
        for number, step in enumerate(report["chain"], 1):
            console.print(f"  {number}. {step['claim']}")
            for pointer in step["because"]:
                console.print(Text(f"       crash> {pointer['command']}", style="dim"))
    if verdict["innocent"]:
        heading("Not to blame")
        for innocent in verdict["innocent"]:
            console.print(f"  {innocent['module']}: {innocent['why']}")
    if verdict["advice"]:
        heading("What to do")
        for advice in verdict["advice"]:
            console.print(f"  - {advice}")
    missing = [
        (name, fact["missing"]["detail"])
        for name, fact in report["evidence"].items()
        if "missing" in fact and fact["missing"]["why"] != "not-applicable"
    ]
    gaps = [(item["rule"], item["why"]) for item in report["undecided"]] + missing
    if gaps:
        heading("What could not be checked")
        for name, why in gaps:
            console.print(f"  {name}: {why}")
    code = report["evidence"].get("code", {})
    if code.get("source"):
        heading(f"Source: {code['source_file']}")
        for line in code["source"]:
            mark = ">" if line["faulted"] else " "
            console.print(f"  {mark} {line['number']:>5}  {line['text']}")
    if code.get("instructions"):
        heading("Code")
        for row in code["instructions"]:
            mark = ">" if row["faulted"] else " "
            console.print(f"  {mark} {row['address']}  {row['text']}")
    frames = report["evidence"].get("backtrace", {}).get("frames", [])
    if frames:
        heading("Backtrace")
    for frame in frames:
        style = "bold" if frame["role"] == "fault" else "dim" if frame["role"] != "caller" else ""
        module = f" [{frame['module']}]" if frame["module"] else ""
        inline = " (inlined)" if frame["inline"] else ""
        source = f" at {frame['source']}" if frame["source"] else ""
        console.print(
            Text(f"  #{frame['index']:<3}{frame['function']}{module}{inline}{source}", style=style)
        )
