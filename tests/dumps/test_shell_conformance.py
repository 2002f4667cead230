"""The prompt's answers beside those of crash 9.0.2 on the same dump: equal lines, equal columns.

Where the two differ on purpose the reason stands with the line.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
from drgn.helpers.linux import timekeeping
from drgn.helpers.linux.cpumask import for_each_possible_cpu
from drgn.helpers.linux.slab import for_each_slab_cache
from lab_dumps import opened

import oopslab
from oopsight.shell import Shell
from oopsight.shell.kmem.slabs import cpu_slabs
from oopslab import witness

KERNELS = ("6.1", "6.12")

# Commands whose whole answer is the same, line by line.
SAME = [
    line
    for line in (Path(__file__).parent / "shell_same_as_crash.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
# Where the kernel is newer than what crash knows of, and ours is what /proc in the guest says.
ONLY_6_1 = {
    "ps -t 1": "the time since boot",
    "log -T": "the time of boot, of which crash is minutes off",
    "irq -s": "the width of a long chip name",
    "kmem -v": "crash passes over half of the regions",
    "kmem -S kmalloc-8k": "which free objects are the CPU's own",
    "tree -t rbtree vmap_area_root": "the tree is gone",
    "ps": "the resident size, which is in per-CPU counters",
    "ps -u": "as ps",
    "ps -H 1": "as ps",
    "ps init": "as ps",
    "ps -G 1": "as ps",
    "vm 1": "as ps",
    "foreach 1 vm": "as ps",
}
SINCE_BOOT = ("ps -t 1", "log -T")
"""Commands that reckon with the time since boot."""
OTHERS = ("kmem -s", "kmem -i", "bt")


def _normal(text: str) -> list[str]:
    """Lines without what depends on the run: history numbers, build folders, trailing spaces."""
    lines = []
    for line in text.strip("\n").splitlines():
        plain = re.sub(r"\$\d+ = ", "$N = ", line.rstrip())
        plain = re.sub(r"debian/build/[\w.-]+/|/build/[\w./-]+/linux-[\d.]+/", "", plain)
        # Debug information has the declaration, without a length, beside the definition.
        plain = re.sub(r"(linux_banner)\[\d*\];", r"\1[];", plain)
        if plain:
            lines.append(plain.strip() if not lines else plain)
    return lines


@functools.cache
def _answers(kernel: str) -> tuple[Shell, dict[str, str]]:
    try:
        dump = oopslab.ensure("incident", kernel=kernel, capture="qmp")
        answers = witness.outputs(dump.vmlinux, dump.vmcore, [*SAME, *OTHERS])
    except oopslab.LabUnavailable as error:
        pytest.skip(str(error))
    return Shell(opened(dump)), answers


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("command", SAME)
def test_the_answer_is_that_of_crash(
    kernel: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel != "6.1" and command in ONLY_6_1:
        pytest.skip(ONLY_6_1[command])
    shell, answers = _answers(kernel)
    shell.task = shell.panic_task()
    if command in SINCE_BOOT:
        # crash counts ticks, which begin later than the clock and are lost with interrupts off.
        monkeypatch.setattr(timekeeping, "ktime_get_boottime_seconds", _seconds_of_ticks)
    result = shell.run(command)
    assert result.error is None
    assert _normal(result.text) == _normal(answers[command]), answers[command]


def _seconds_of_ticks(prog: Any) -> int:
    hz = 250
    begin = 2**32 - 300 * hz  # INITIAL_JIFFIES
    return int(prog["jiffies_64"].value_() - begin) // hz


def test_the_ticks_are_behind_the_clock_by_less_than_two_seconds() -> None:
    shell, _ = _answers("6.1")
    behind = timekeeping.ktime_get_boottime_seconds(shell.prog) - _seconds_of_ticks(shell.prog)
    assert 0 <= behind < 2


def _table(text: str, columns: int) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= columns and re.fullmatch(r"[0-9a-f]{16}", words[0]):
            rows[words[0]] = words[1:columns]
    return rows


@pytest.mark.parametrize("kernel", KERNELS)
def test_all_slab_caches_have_the_numbers_that_crash_counts(kernel: str) -> None:
    shell, answers = _answers(kernel)
    ours, theirs = (_table(text, 6) for text in (shell.run("kmem -s").text, answers["kmem -s"]))
    assert len(ours) > 100
    for cache in for_each_slab_cache(shell.prog):
        row = ours.get(f"{cache.value_():x}")
        if row is not None:
            row[1] = str(int(row[1]) + _passed_over(shell, cache))
    assert ours == theirs


def _passed_over(shell: Shell, cache: Any) -> int:
    """Free objects that crash takes for used: on a CPU's partial list, where it has no slab."""
    free = 0
    for cpu in for_each_possible_cpu(shell.prog):
        own = cpu_slabs(cache, cpu)
        if own is not None and own[1] is None:
            free += sum(slab.objects - slab.inuse for slab in own[2])
    return free


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_damaged_cache_is_named_and_the_others_listed(kernel: str) -> None:
    shell, _ = _answers(kernel)
    result = shell.run("kmem -s")
    damaged = [row for row in result.rows if "hash_info_mempool" in str(row["shown_name"])]
    assert len(damaged) == 1
    assert result.gaps
    assert len(result.rows) > 100


def _calls(text: str) -> list[tuple[str, str]]:
    """(stack address, program counter) of each call."""
    return re.findall(r"#\d+ \[([0-9a-f]+)\] \S+ at ([0-9a-f]+)", text)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_backtrace_has_every_call_and_register_that_crash_shows(kernel: str) -> None:
    shell, answers = _answers(kernel)
    shell.task = shell.panic_task()
    ours, theirs = shell.run("bt").text, answers["bt"]
    missing = set(_calls(theirs)) - set(_calls(ours))
    # Where the panic begins crash prints the stack pointer of its own choosing.
    assert {pc for _, pc in missing} <= {_calls(theirs)[0][1]}
    registers = [
        line for line in theirs.splitlines() if re.match(r"\s+(RIP|RAX|RDX|RBP|R1\d): ", line)
    ]
    assert registers
    assert set(registers) <= set(ours.splitlines())
    assert "[exception RIP: " in ours


@pytest.mark.parametrize("kernel", KERNELS)
def test_memory_totals_but_the_committed_one(kernel: str) -> None:
    shell, answers = _answers(kernel)
    ours, theirs = (_normal(text) for text in (shell.run("kmem -i").text, answers["kmem -i"]))
    assert ours[:-1] == theirs[:-1]


def test_the_witness_is_the_version_that_the_documentation_names() -> None:
    try:
        found: Any = witness.version()
    except oopslab.LabUnavailable as error:
        pytest.skip(str(error))
    assert found.startswith("crash 9.")
