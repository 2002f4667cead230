"""The corpus: evidence recorded from real dumps, and the reports that the rules made of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).resolve().parent.parent / "corpus"
RECORDINGS = CORPUS / "recordings"
REPORTS = CORPUS / "reports"
_OF_THE_RUN = ("dump", "evidence", "timings")


def golden(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what the recording holds, or what differs with each run."""
    return {key: value for key, value in report.items() if key not in _OF_THE_RUN}


def write_recording(path: Path, recording: dict[str, Any]) -> None:
    """A line for each fact, so that a change shows which.

    Where this machine keeps its debug packages is no fact of the crash.
    """
    system = recording["facts"].get("oopsight.evidence.crash.system.System", {})
    if "vmlinux" in system:
        system["vmlinux"] = Path(system["vmlinux"]).name
    facts = ",\n".join(
        f"  {json.dumps(place)}: {json.dumps(fact, ensure_ascii=False)}"
        for place, fact in sorted(recording["facts"].items())
    )
    schema = json.dumps(recording["schema"])
    path.write_text(f'{{"schema": {schema}, "facts": {{\n{facts}\n}}}}\n', encoding="utf-8")


def write_report(path: Path, report: dict[str, Any]) -> None:
    path.write_text(json.dumps(golden(report), indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
