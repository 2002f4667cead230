"""What modules from outside the kernel's tree take away from a verdict against the kernel itself.

All code of the kernel can write all of its memory, and anybody can be called back by it. Where
memory is found damaged, a check fails or something waits, and only the kernel's own functions are
on the way to it, a module that had been loaded may have brought it about and be long gone from the
stack; the functions that everybody's machine runs are the last to suspect.
"""

from __future__ import annotations

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty, Culprit, Finding
from oopsight.evidence import Missing
from oopsight.evidence.crash.system import System
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.unloaded_modules import UnloadedModules
from oopsight.kinds import Kind

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
_WITHOUT = (
    "Modules from outside the kernel's tree were loaded: see whether it still happens without them."
)
_ALONE = (
    "is the only module from outside the kernel's tree; nothing else in the dump leads to it, but "
    "the functions that everybody's machine runs are the last to suspect"
)


def allow_for_out_of_tree(
    cause: str | None,
    finding: Finding,
    system: System | Missing,
    modules: Modules | Missing,
    unloaded: UnloadedModules | Missing,
) -> Finding:
    """The verdict, only possible if it is such as nobody but the kernel is blamed for.

    Then, and where it was only possible before, suspects from outside the kernel's tree come first;
    where there are none, the only such module that there has been.

    :param cause: ``None`` where no rule explains the crash
    """
    if isinstance(system, Missing) or _OUT_OF_TREE not in system.tainted:
        return finding
    if cause not in (None, *_BROUGHT_ABOUT) or finding.kind is Kind.NOT_A_CRASH:
        return finding
    if finding.certainty in _CONFIDENT:
        if any(one.module is not None for one in finding.culprits):
            return finding
        finding = replace(
            finding,
            certainty=Certainty.POSSIBLE,
            cause_certainty=None,
            advice=(*finding.advice, _WITHOUT),
        )
    if isinstance(modules, Missing):
        return finding
    return _foreign_first(finding, modules, unloaded)


def _foreign_first(
    finding: Finding, modules: Modules, unloaded: UnloadedModules | Missing
) -> Finding:
    foreign = [module.name for module in modules.loaded if _OUT_OF_TREE in module.taints]
    culprits = sorted(finding.culprits, key=lambda one: one.module not in foreign)
    named = any(one.module is not None for one in culprits)
    gone = not isinstance(unloaded, Missing) and bool(unloaded.modules)
    if not named and len(foreign) == 1 and not gone:
        culprits.insert(0, Culprit(foreign[0], None, None, None, _ALONE))
    suspects = {one.module for one in culprits}
    return replace(
        finding,
        culprits=tuple(culprits),
        innocent=tuple(one for one in finding.innocent if one.module not in suspects),
    )
