"""The drgn code that the prompt shows, carried out: it gives what the command gives."""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from lab_dumps import opened

import oopslab
from oopsight.shell import Shell
from oopsight.shell.output import Row

KERNELS = ("6.1", "7.2")
Expected = Callable[[tuple[Row, ...], str], Iterable[str]]
"""From a command's rows and text what the code must print, line by line."""


def _each(*names: str) -> Expected:
    """Of each row these values, addresses in hexadecimal."""

    def lines(rows: tuple[Row, ...], text: str) -> Iterable[str]:
        del text
        return (" ".join(_word(row[name]) for name in names) for row in rows)

    return lines


def _word(value: Any) -> str:
    if isinstance(value, list):
        return str(value)
    return hex(value) if isinstance(value, int) and value >> 32 else str(value)


def _ps(rows: tuple[Row, ...], text: str) -> Iterable[str]:
    del text
    letters = {"RU": "R", "IN": "S", "ID": "I", "UN": "D", "ZO": "Z"}
    return (f"{r['pid']} {r['ppid']} {r['cpu']} {r['task']:#x} {letters[r['state']]} "
            f"{r['vsz_kib'] << 10} {r['command']}" for r in rows)  # fmt: skip


def _slabs(rows: tuple[Row, ...], text: str) -> Iterable[str]:
    del text
    return (f"{r['cache']:#x} {r['object_size']} {r['total']} {r['slabs']}" for r in rows)


def _hexa(*names: str) -> Expected:
    """As ``_each``, all numbers in hexadecimal."""
    return lambda rows, _: (
        " ".join(hex(row[n]) if isinstance(row[n], int) else str(row[n]) for n in names)
        for row in rows
    )


def _second_column(rows: tuple[Row, ...], text: str) -> Iterable[str]:
    del rows
    return [hex(int(line.split()[-1], 16)) for line in text.splitlines() if line.strip()]


def _files(rows: tuple[Row, ...], text: str) -> Iterable[str]:
    del text
    return (f"{r['fd']} {r['file']:#x} {r['path']}" for r in rows if r["type"] != "SOCK")


def _timers(rows: tuple[Row, ...], text: str) -> Iterable[str]:
    del text
    return (f"{r['cpu']} {r['expires']} {r['timer']:#x}" for r in rows)


def _hrtimers(rows: tuple[Row, ...], text: str) -> Iterable[str]:
    del text
    return (f"{r['cpu']} {r['clock']} {r['expires_ns']} {r['timer']:#x}" for r in rows)


def _irqs(rows: tuple[Row, ...], text: str) -> Iterable[str]:
    del text
    return (
        f"{r['irq']} {r['desc']:#x} {[a['name'] for a in r['actions']]}" for r in rows if r["desc"]
    )


# Lines of which all must be printed, and nothing else.
EQUAL: dict[str, Expected] = {
    "btop 512a000": _second_column,
    "ptob 512a": _second_column,
    "ptov 56e000": lambda _, text: [hex(int(text.split()[-2], 16))],
    "dev": _each("major", "name"),
    "dev -d": _hexa("disk", "name"),
    "dev -i": _hexa("start", "end", "name"),
    "fuser /dev/console": _each("pid", "command"),
    "irq": _irqs,
    "irq -s": lambda rows, _: (f"{r['irq']} {list(r['counts'].values())}" for r in rows),
    "kmem -v": _hexa("vmap_area", "start", "end"),
    "kmem -z": lambda rows, _: (f"{r['zone']} {r['present']}" for r in rows),
    "list -H modules": lambda _, text: (f"0x{line}" for line in text.split()),
    "list -H modules -r": lambda _, text: (f"0x{line}" for line in text.split()),
    "list module.list -h {module}": lambda _, text: (f"0x{line}" for line in text.split()),
    "list -o task_struct.real_parent {task}": lambda _, text: (
        f"0x{line}" for line in text.splitlines() if " " not in line
    ),
    "log -t": lambda _, text: text.splitlines(),
    "mod -t": _each("name", "taints"),
    "mount": _each("device", "directory", "type"),
    "ps": _ps,
    "ps -k": _ps,
    "ps -u": _ps,
    "ps -G 1 2": _ps,
    "ps init": _ps,
    "ps {task}": _ps,
    "runq": lambda rows, _: (f"{r['cpu']} {r['task']:#x}" for r in rows if r["queue"] == "current"),
    "sig 1": lambda rows, _: (f"{r['signal']} {r['handler']:#x}" for r in rows),
    "swap": lambda *_: [],
    "sym jiffies": lambda _, text: [f"0x{text.split()[0]} jiffies"],
    "sys -c 59": _each("number", "address", "name"),
    "task -R pid,tgid 1": lambda *_: ["(pid_t)1", "(pid_t)1"],
    "timer": _timers,
    "timer -r": _hrtimers,
    "vm 1": lambda rows, _: (f"{r['vma']:#x} {r['start']:#x} {r['end']:#x}" for r in rows),
    "vtop {task}": lambda _, text: [f"0x{text.splitlines()[1].split()[1]}"],
    "struct task_struct.pid {task}": lambda *_: ["(pid_t)1"],
    "p init_task.pid": lambda *_: ["(pid_t)0"],
    "p ((struct task_struct *)0x{task})->pid": lambda *_: ["(pid_t)1"],
    "whatis jiffies": lambda *_: ["volatile unsigned long"],
    "pte 8000000001234067": lambda *_: ["0x1234000"],
}
_CUT = {"vm 1": 3, "runq": 2}
"""Of these only so many words of each printed line are compared, and lines with ``  `` left out."""


@functools.cache
def _subject(kernel: str) -> tuple[Shell, dict[str, str]]:
    try:
        dump = oopslab.ensure("null-deref", kernel=kernel, capture="qmp")
    except oopslab.LabUnavailable as error:
        pytest.skip(str(error))
    shell = Shell(opened(dump))
    module = next(iter(shell.run("mod").rows))["module"]
    return shell, {"task": f"{shell.find_task('1').value_():x}", "module": f"{module:x}"}


def _printed(shell: Shell, code: str) -> list[str]:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {"prog": shell.prog})  # noqa: S102  # our own code, made a moment ago
    return printed.getvalue().splitlines()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("line", EQUAL)
def test_the_code_prints_what_the_command_shows(kernel: str, line: str) -> None:
    shell, words = _subject(kernel)
    command = line.format(**words)
    result, code = shell.run(command), shell.run(f"{command} --drgn")
    assert result.error is None
    assert code.error is None
    printed = _printed(shell, code.text)
    if line in _CUT:
        printed = [" ".join(p.split()[: _CUT[line]]) for p in printed if not p.startswith("  ")]
    expected = list(EQUAL[line](result.rows, result.text))
    assert [" ".join(text.split()) for text in sorted(printed)] == [
        " ".join(text.split()) for text in sorted(expected)
    ]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("line", ["bt", "bt 1", "bt -a", "foreach kernel bt"])
def test_the_stacks_have_the_same_functions(kernel: str, line: str) -> None:
    shell, _ = _subject(kernel)
    rows = shell.run(line).rows
    printed = "\n".join(_printed(shell, shell.run(f"{line} --drgn").text))
    shown = {frame["function"] for row in rows for frame in row["frames"] if frame["function"]}
    assert shown
    for function in shown:
        # drgn says the symbol with a size, and the function that a part of was moved away.
        name = re.sub(r"(_after_hwframe|_no_verify|\.cold|\.part\.\d+)", "", function)
        # Of two names of a function it may know the other one.
        assert name.startswith("__x64_sys") or re.search(rf"\b{re.escape(name)}\b", printed)


@pytest.mark.parametrize("kernel", KERNELS)
def test_files_of_all_tasks(kernel: str) -> None:
    shell, _ = _subject(kernel)
    rows = [row for row in shell.run("foreach user files").rows if row["type"] != "SOCK"]
    printed = _printed(shell, shell.run("foreach user files --drgn").text)
    sockets = [line for line in printed if "socket" in line.split()[2] or "UNIX" in line]
    expected = {f"{row['fd']} {row['file']:#x}" for row in rows}
    assert expected <= {" ".join(line.split()[:2]) for line in printed}
    assert len(printed) - len(rows) >= len(sockets)


@pytest.mark.parametrize("kernel", KERNELS)
def test_all_slab_caches(kernel: str) -> None:
    shell, _ = _subject(kernel)
    rows = shell.run("kmem -s").rows
    assert sorted(_printed(shell, shell.run("kmem -s --drgn").text)) == sorted(_slabs(rows, ""))


@pytest.mark.parametrize("kernel", KERNELS)
def test_instructions(kernel: str) -> None:
    shell, _ = _subject(kernel)
    rows = shell.run("dis strlen 6").rows
    printed = _printed(shell, shell.run("dis strlen 6 --drgn").text)
    assert [line.split()[0] for line in printed] == [hex(row["address"]) for row in rows]


@pytest.mark.parametrize("kernel", KERNELS)
def test_why_shows_the_answer_first(kernel: str) -> None:
    shell, _ = _subject(kernel)
    text = shell.run("mount --why").text
    assert text.startswith(shell.run("mount").text)
    assert text.endswith(shell.run("mount --drgn").text)
    assert "\nThe same in drgn:\n" in text


@pytest.mark.parametrize(
    "line", ["alias", "ps -l", "kmem -S", "why", "p jiffies + 1", "foreach nosuch bt", "list", "rd"]
)
def test_where_there_is_no_code_it_is_said(line: str) -> None:
    shell, _ = _subject("6.1")
    result = shell.run(f"{line} --drgn")
    assert result.error is not None
    assert "defect" not in result.error
    assert "code" in result.error or "start" in result.error
