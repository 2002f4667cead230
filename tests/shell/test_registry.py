"""Every command has its documentation, and none of crash's is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from oopsight.errors import UsageError
from oopsight.shell import BUILT_IN_ALIASES
from oopsight.shell.registry import command, names

# What `help` of crash 9.0.2 lists.
CRASH = [
    "*",
    "alias",
    "ascii",
    "bpf",
    "bt",
    "btop",
    "dev",
    "dis",
    "eval",
    "exit",
    "extend",
    "files",
    "foreach",
    "fuser",
    "gdb",
    "help",
    "ipcs",
    "irq",
    "kmem",
    "list",
    "log",
    "mach",
    "mod",
    "mount",
    "net",
    "p",
    "ps",
    "pte",
    "ptob",
    "ptov",
    "q",
    "rd",
    "repeat",
    "runq",
    "rustfilt",
    "sbitmapq",
    "search",
    "set",
    "sig",
    "struct",
    "swap",
    "sym",
    "sys",
    "task",
    "timer",
    "tree",
    "union",
    "vm",
    "vtop",
    "waitq",
    "whatis",
    "wr",
]
CRASH_ALIASES = [
    "man",
    "?",
    "quit",
    "sf",
    "sn",
    "hex",
    "dec",
    "g",
    "px",
    "pd",
    "for",
    "size",
    "dmesg",
    "last",
]

# They are no view of memory, or more than one.
WITHOUT_CODE = {
    "alias", "ascii", "eval", "exit", "extend", "gdb", "help", "locks", "q", "repeat",
    "rustfilt", "set", "suspects", "timeline", "why", "wr",
}  # fmt: skip


def test_no_command_of_crash_is_missing() -> None:
    assert set(CRASH) <= set(names())
    assert set(CRASH_ALIASES) <= set(BUILT_IN_ALIASES)


@pytest.mark.parametrize("name", sorted(names()))
def test_a_command_is_documented_with_examples(name: str) -> None:
    found = command(name)
    assert found is not None
    assert found.summary
    assert len(found.summary) < 100
    assert f"crash> {name}" in found.examples or f"crash> {name[0]}" in found.examples
    assert found.synopsis.startswith(name)
    for option in found.options.values():
        assert option.text, option.flag
        assert option.flag.lstrip("-")[0] in found.synopsis or name in ("set", "extend"), option


@pytest.mark.parametrize("name", sorted(set(names()) - WITHOUT_CODE))
def test_a_command_that_is_a_view_of_memory_has_drgn_code(name: str) -> None:
    found = command(name)
    assert found is not None
    assert callable(found.module.drgn_code)
    assert set(getattr(found.module, "DRGN", ())) <= set(found.options)


def test_the_table_in_the_documentation_is_made_anew() -> None:
    root = Path(__file__).resolve().parent.parent.parent
    spec = importlib.util.spec_from_file_location("table", root / "tools/command_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.document() == (root / "docs/commands.md").read_text()


@pytest.mark.parametrize("name", sorted(names()))
def test_an_unknown_option_is_refused_by_name(name: str) -> None:
    found = command(name)
    assert found is not None
    if getattr(found.module, "RAW", False):
        return
    with pytest.raises(UsageError, match="unknown option"):
        found.parse(["-@"], "-@")
