"""Where a CPU counts what keeps it from being preempted."""

from __future__ import annotations

from typing import Any


def preempt_count_offset(prog: Any) -> int | None:
    """Where each CPU keeps its preemption counter, as an offset into its per-CPU area; x86-64."""
    from drgn import offsetof

    try:
        # Since Linux 6.15 (commit 46e8fff6d45f), and before 6.2, a variable of its own.
        return int(prog.symbol("__preempt_count").address)
    except LookupError:
        pass
    try:
        # Linux 6.2 (commit 64701838bf05) put it among what is hot.
        hot = int(prog.symbol("pcpu_hot").address)
        return hot + int(offsetof(prog.type("struct pcpu_hot"), "preempt_count"))
    except LookupError:
        return None
