"""A log's crash reports for a terminal: what it is, whom it blames, what it shows, what is lost."""

from __future__ import annotations

from typing import IO, Any

from oopsight.text import printable

_MOST_FRAMES = 24
_MOST_LOCKS = 8
_MOST_SKIPPED = 6
_STYLE = {"shown": "bold green", "inferred": "bold yellow", "possible": "bold magenta"}


def to_terminal(document: dict[str, Any], file: IO[str]) -> None:
    """Print one log's document; every string of it is hostile until escaped.

    :param document: as :func:`oopsight.oops.document.document` makes it
    """
    from rich.console import Console
    from rich.text import Text

    # Lines are not folded: a frame is one line, in a pipe and on a narrow terminal alike.
    console = Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def line(text: str, style: str = "") -> None:
        console.print(Text(printable(text), style=style))

    line(document["file"], "bold")
    if document["title"] is None:
        line("  no crash report in this log", "dim")
        return
    line(f"  {document['title']}", "bold red")
    for label, text in _facts(document):
        line(f"  {label:<11}{text}")
    verdict = document.get("verdict")
    if verdict:
        line(f"  {'cause':<11}{verdict['summary']}", _STYLE.get(verdict["certainty"], "bold"))
        line(f"  {'':<11}certainty: {verdict['certainty']} (rule {verdict['cause']})")
        for number, claim in enumerate(verdict["proof"], 1):
            line(f"  {'':<11}{number}. {claim}")
        for advice in verdict["advice"]:
            line(f"  {'':<11}- {advice}")
    _stacks(document, line)
    for lock in document["locks_held"][:_MOST_LOCKS]:
        line(f"  {'lock held':<11}{lock}")
    for missing in document["missing"]:
        line(f"  {'missing':<11}{missing}", "yellow")
    for later in document["more"]:
        line(f"  {'later':<11}line {later['first_line'] + 1}: {later['title']}", "dim")


def _facts(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Label and text of what stands in one line each, where the log tells it."""
    rows = [("kind", f"{document['kind']}, at line {document['first_line'] + 1}")]
    if document["function"]:
        where = f" ({document['guilty_file']})" if document["guilty_file"] else ""
        rows.append(("blamed", document["function"] + where))
    rows.extend(
        ("", f"passed over {skipped['function']}: {skipped['reason']}")
        for skipped in document["passed_over"][:_MOST_SKIPPED]
    )
    code, access = document["code"], document["access"]
    if code and code["instruction"]:
        rows.append(("at fault", f"{code['instruction']}: {code['words']}"))
    elif access and access["address"]:
        size = f" of {access['size']} bytes" if access["size"] else ""
        rows.append(("at fault", f"{access['kind'] or 'access'}{size} at {access['address']}"))
    task = document["task"]
    if task:
        on = "" if task["cpu"] is None else f" on CPU {task['cpu']}"
        rows.append(("task", f"{task['name']} (pid {task['pid']}){on}"))
    if document["release"]:
        rows.append(("kernel", document["release"]))
    if document["hardware"]:
        rows.append(("hardware", document["hardware"]))
    rows.extend(("taint", f"{taint['letter']}: {taint['meaning']}") for taint in document["taints"])
    if document["last_unloaded"]:
        rows.append(("unloaded", f"{document['last_unloaded']} was the last module unloaded"))
    return rows


def _stacks(document: dict[str, Any], line: Any) -> None:
    shown = [("trace", document["trace"])]
    for role in ("allocated", "freed", "stored"):
        found = next((one["frames"] for one in document["stacks"] if one["role"] == role), None)
        if found:
            shown.append((role, found))
    for label, frames in shown:
        sure = [frame for frame in frames if frame["trust"] != "unsure"]
        for number, frame in enumerate(sure[:_MOST_FRAMES]):
            module = f" [{frame['module']}]" if frame["module"] else ""
            inlined = " (inlined)" if frame["trust"] == "inlined" else ""
            source = f" at {frame['file']}:{frame['line']}" if frame["file"] else ""
            offset = f"+{frame['offset']:#x}" if frame["offset"] else ""
            text = f"{frame['function']}{offset}{module}{inlined}{source}"
            line(f"  {label if not number else '':<11}{text}", "" if frame["offset"] else "dim")
        if len(sure) > _MOST_FRAMES:
            line(f"  {'':<11}and {len(sure) - _MOST_FRAMES} more", "dim")
