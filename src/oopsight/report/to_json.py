"""The report as JSON."""

from __future__ import annotations

import json

from oopsight.report import Report


def to_json(report: Report) -> str:
    """Render, ending in a newline."""
    return json.dumps(report, indent=1, ensure_ascii=True) + "\n"
