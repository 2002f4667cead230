"""Writes docs/commands.md: every command and option of the prompt beside crash's.

    python tools/command_table.py > docs/commands.md

What is said to be equal is what tests/dumps/test_shell_conformance.py compares line by line, and
tests/dumps/test_shell_proc.py with /proc.
"""

from __future__ import annotations

import sys
from pathlib import Path

from oopsight.shell import BUILT_IN_ALIASES
from oopsight.shell.registry import Command, command, names

COMPARED = Path(__file__).parent.parent / "tests/dumps/shell_same_as_crash.txt"
OWN = ("locks", "refs", "suspects", "timeline", "unloaded", "what", "why")

# Where the answer differs from crash's on purpose, or cannot be given; by command and option.
NOTES = {
    ("bt", ""): "better: frames that crash passes over, and the panic's own calls in kdump dumps",
    ("bt", "-l"): "better: inlined calls too",
    ("bt", "-A"): "as -a; the registers of S/390 are not shown",
    ("bt", "-o"): "as -t",
    ("bt", "-O"): "as -t; there is one method of unwinding",
    ("dis", "-b"): "nothing is skipped, so that there is nothing to set",
    ("dis", "-s"): "the source where --source names a tree, the file and line without",
    ("extend", ""): "commands are Python files, not shared objects",
    ("foreach", ""): "better: any command",
    ("fuser", ""): "better: names are not cut off",
    ("gdb", ""): "part of gdb: print, ptype, whatis, x, info symbol, info line, list, python",
    ("ipcs", ""): "same where nothing is allocated; not compared where there is",
    ("kmem", "-C"): "better: crash refuses on kernels of today; pages by inode",
    ("kmem", "-c"): "better: crash refuses on kernels of today; pages by inode",
    ("kmem", "-i"): "better: COMMITTED is that of /proc/meminfo, per-CPU parts included",
    ("kmem", "-r"): "as -s: no cache has children since Linux 5.9; crash refuses",
    ("kmem", "-s"): "better: numbers equal; a damaged cache is named, with the reason",
    ("kmem", "-v"): "better: on 6.12 crash passes over half of the regions",
    ("log", "-R"): "as without: nothing is filtered",
    ("mach", ""): "the stacks of each CPU in lines of their own",
    ("mount", "-f"): "better: crash refuses on kernels of today",
    ("mount", "-i"): "better: crash refuses on kernels of today; all inodes, the dirty ones marked",
    ("net", "-a"): "better: crash shows nothing on these kernels",
    ("p", ""): "C expressions without calls and assignments",
    ("ps", ""): "better on 6.12: the resident size with the parts of stopped CPUs, as in /proc",
    ("rd", "-m"): "not: dumps of Xen hosts are not read",
    ("search", ""): "better: says how many pages were not in the dump",
    ("set", ""): "settings that change nothing here are accepted",
    ("sym", ""): "better: the line of the address itself, inlined calls, former places of modules",
    ("sys", "-p"): "not: the system of a dump has panicked already",
    ("sys", "-t"): "better: with the meaning of each letter",
    ("timer", "-r"): "better: CURRENT is the time of the dump, not of the last tick",
    ("vtop", ""): "better: takes symbols too",
    ("waitq", ""): "better: waiters in poll() and select() are named",
    ("whatis", "-m"): "names are those in the kernel's BTF, which lacks types of no use to it",
    ("whatis", "-r"): "names are those in the kernel's BTF, which lacks types of no use to it",
    ("wr", ""): "refused: a dump is evidence",
}

# What is compared with /proc of the guest from just before its crash, by command and option.
PROC = {
    ("bt", ""),
    ("dev", ""),
    ("dev", "-d"),
    ("dev", "-i"),
    ("files", ""),
    ("irq", "-s"),
    ("kmem", "-V"),
    ("kmem", "-i"),
    ("kmem", "-s"),
    ("kmem", "-v"),
    ("kmem", "-z"),
    ("mod", ""),
    ("mount", ""),
    ("net", ""),
    ("net", "-s"),
    ("ps", ""),
    ("ps", "-a"),
    ("ps", "-r"),
    ("ps", "-t"),
    ("runq", ""),
    ("sig", ""),
    ("swap", ""),
    ("sys", ""),
    ("sys", "-t"),
    ("timer", "-r"),
    ("vm", ""),
}


def compared() -> set[tuple[str, str]]:
    """Command and option pairs that are compared with crash line by line."""
    found = set()
    for line in COMPARED.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        name, *words = line.split()
        flags = [word for word in words if word.startswith("-")]
        found |= {(name, flag) for flag in flags} or {(name, "")}
    return found


def verdict(name: str, flag: str, equal: set[tuple[str, str]]) -> str:
    """What is to be said of an option."""
    said = NOTES.get((name, flag))
    if said is None and name in OWN:
        return "not in crash"
    if said is None:
        said = "same (compared)" if (name, flag) in equal else "same purpose"
    return f"{said}; as /proc" if (name, flag) in PROC else said


def rows(one: Command, equal: set[tuple[str, str]]) -> list[str]:
    """The table's rows of a command."""
    summary = one.summary.replace("|", "\\|")
    found = [f"| **`{one.name}`** | {summary} | {verdict(one.name, '', equal)} |"]
    for option in one.options.values():
        text = option.text.replace("|", "\\|")
        found.append(f"| `{option.shown}` | {text} | {verdict(one.name, option.flag, equal)} |")
    return found


def document() -> str:
    """The whole file."""
    equal = compared()
    lines = [
        "# The prompt's commands",
        "",
        "Made by `tools/command_table.py`; do not edit. `help COMMAND` shows synopsis and",
        "examples.",
        "",
        "*same (compared)*: the answer equals that of crash 9.0.2 line by line, on a 6.1 dump and",
        "mostly on a 6.12 one (tests/dumps/test_shell_conformance.py). *same purpose*: the same is",
        "shown, and not compared line by line. *as /proc*: the numbers are those that the kernel",
        "itself gave in /proc just before it crashed, on 5.10, 6.1, 6.12 and 7.2",
        "(tests/dumps/test_shell_proc.py, which says what may move).",
        "",
        "Every command takes `--json`, marks what it cannot read in its place, and counts it in",
        "its last line. `--drgn` shows the drgn code that gives the same, arguments filled in,",
        "to be run with drgn itself or changed; `--why` shows the answer and then the code.",
        "Commands that are no view of memory have none, and where an option asks for more than a",
        "short piece of code can do, that is said (tests/dumps/test_shell_drgn_code.py runs the",
        "code).",
        "",
        "| Command, option | What it does | Beside crash 9.0.2 |",
        "| --- | --- | --- |",
    ]
    for name in sorted(names()):
        one = command(name)
        if one is not None:
            lines += rows(one, equal)
    lines += ["", "## Built-in aliases", "", "| Alias | Command |", "| --- | --- |"]
    lines += [f"| `{name}` | `{text}` |" for name, text in sorted(BUILT_IN_ALIASES.items())]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
