"""What modules from outside the kernel's tree take away from a verdict against the kernel itself.

All code of the kernel can write all of its memory, and anybody can be called back by it. Where
memory is found damaged, a check fails or something waits, and only the kernel's own functions are
on the way to it, a module that had been loaded may have brought it about and be long gone from the
stack; the functions that everybody's machine runs are the last to suspect.
"""

from __future__ import annotations

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty, Finding
from oopsight.evidence import Missing
from oopsight.evidence.crash.system import System

_BROUGHT_ABOUT = frozenset(
    [
        "bad_function_pointer",
        "bad_page_state",
        "double_free",
        "error_pointer",
        "heap_overflow",
        "invalid_free",
        "list_corruption",
        "null_dereference",
        "refcount_error",
        "use_after_free",
        "wild_pointer",
        "bug_on",
        "warning",
        "deadlock",
        "hard_lockup",
        "hung_task",
        "lock_held",
        "rcu_stall",
        "sleeping_in_atomic",
        "soft_lockup",
        "workqueue_stall",
    ]
)
"""Causes that damaged or confused memory has, and states that others can have brought about."""
_OUT_OF_TREE = "O"
"""The taint's letter, Documentation/admin-guide/tainted-kernels.rst; it outlives the module."""
_CONFIDENT = (Certainty.SHOWN, Certainty.INFERRED)


def allow_for_out_of_tree(cause: str, finding: Finding, system: System | Missing) -> Finding:
    """The verdict, only possible if it is such as nobody but the kernel is blamed for."""
    if isinstance(system, Missing) or _OUT_OF_TREE not in system.tainted:
        return finding
    if cause not in _BROUGHT_ABOUT or finding.certainty not in _CONFIDENT:
        return finding
    if any(one.module is not None for one in finding.culprits):
        return finding
    return replace(
        finding,
        certainty=Certainty.POSSIBLE,
        cause_certainty=None,
        advice=(
            *finding.advice,
            "Modules from outside the kernel's tree were loaded: see whether it still happens "
            "without them.",
        ),
    )
