"""Write docs/rules.md from the docstrings of the rules: ``python tools/rule_docs.py``."""

from __future__ import annotations

from pathlib import Path

from oopsight.diagnosis import SECTIONS, rule_modules

TARGET = Path(__file__).resolve().parent.parent / "docs" / "rules.md"
_INTRODUCTION = """\
# Rules

Made by `tools/rule_docs.py` from the docstrings under `src/oopsight/diagnosis/rules/`; edit there.
`oopsight rule NAME` shows the same in the terminal.
"""


def render() -> str:
    """All rules as one Markdown document."""
    parts = [_INTRODUCTION]
    for module in rule_modules():
        parts.append(f"\n## {module.__name__.rpartition('.')[2]}\n\n")
        for line in (module.__doc__ or "").strip().splitlines():
            text = line.strip().replace("``", "`")
            parts.append(f"### {text}\n\n" if line in SECTIONS else f"{text}\n")
    return "".join(parts)


if __name__ == "__main__":
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(render(), encoding="utf-8")
