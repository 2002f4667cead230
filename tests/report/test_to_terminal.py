"""The formats of the report: readable anywhere, safe whatever the dump says."""

from __future__ import annotations

import io
import json

import pytest
from handmade_facts import accessed, backtrace, evidence, fault, log, modules, task

from oopsight.report import Report, build
from oopsight.report.to_json import to_json
from oopsight.report.to_markdown import to_markdown
from oopsight.report.to_terminal import to_terminal
from oopsight.text import printable


def report(text: str = "BUG: kernel NULL pointer dereference") -> Report:
    return build(
        evidence(
            fault=fault(),
            trace=backtrace(),
            modules=modules(),
            log=log(printable(text)),
            task=task(printable(text)),
            accessed=accessed(printable(text)),
        )
    )


def shown(made: Report) -> str:
    out = io.StringIO()
    to_terminal(made, out)
    return out.getvalue()


@pytest.mark.parametrize("columns", ["20", "80"])
def test_a_terminal_of_any_width_shows_the_whole_proof(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    text = shown(report())
    assert text.split()[:5] == ["NULL", "pointer", "dereference", "in", "f"]
    assert max(len(line) for line in text.splitlines()) <= int(columns)
    for heading in ("Proof", "What to do", "Backtrace"):
        assert heading in text
    assert "\x1b" not in text  # a pipe gets no colour


def test_the_backtrace_tells_the_exception_from_the_panic_path() -> None:
    lines = shown(report()).splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("  > #"))
    assert lines[at - 1].strip() == "--- page_fault ---"
    assert lines[at].split()[2].startswith("f+0x")


def test_in_a_pipe_lines_of_the_log_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    made = report()
    text = "BUG: " + "word " * 100 + "end"
    made["timeline"] = [{"seconds": 2.5, "what": "crash", "text": text, "again": 3, "because": {}}]
    assert f"{text} (and 3 more like it)" in shown(made)


def test_what_a_dump_says_cannot_steer_the_terminal() -> None:
    text = shown(report("BUG: \x1b[2J\x9b31m [bold]x[/bold] :smile:"))
    assert not set(text) & {"\x1b", "\x9b"}
    assert "\\x1b[2J" in text
    assert "[bold]x[/bold] :smile:" in text


def test_markdown_is_escaped() -> None:
    made = report()
    made["verdict"]["title"] = "<script> *x* [a](b) `c`"
    event = {"seconds": 1.0, "what": "crash", "text": "`a` ``` b | c", "again": 0, "because": {}}
    made["timeline"] = [event]
    text = to_markdown(made)
    assert text.startswith(r"# \<script\> \*x\* \[a\](b) \`c\`")
    assert r"`'a' ''' b \| c`" in text
    assert text.count("```") == 2


def test_json_keeps_everything_in_ascii() -> None:
    made = report("BUG: \u00e9")
    text = to_json(made)
    assert text.isascii()
    assert text.endswith("}\n")
    assert json.loads(text) == made
