"""The words for what a crash looks like: the symptom, not its cause.

One list serves the dump (``diagnosis``) and the console text (``oops``), so that a crash has the
same kind whichever of the two survived.
"""

from __future__ import annotations

import enum


class Kind(str, enum.Enum):
    """The symptom of a crash. The values appear in reports and are stable."""

    NULL_DEREF = "null-deref"
    PAGE_FAULT = "page-fault"
    GENERAL_PROTECTION = "general-protection"
    USE_AFTER_FREE = "use-after-free"
    OUT_OF_BOUNDS = "out-of-bounds"
    INVALID_FREE = "invalid-free"
    WILD_ACCESS = "wild-access"
    MEMORY_CORRUPTION = "memory-corruption"
    LIST_CORRUPTION = "list-corruption"
    UNINIT = "uninit"
    INFO_LEAK = "info-leak"
    DATA_RACE = "data-race"
    UBSAN = "ubsan"
    BUG = "bug"
    WARNING = "warning"
    REFCOUNT = "refcount"
    SOFT_LOCKUP = "soft-lockup"
    HARD_LOCKUP = "hard-lockup"
    WORKQUEUE_LOCKUP = "workqueue-lockup"
    RCU_STALL = "rcu-stall"
    HUNG_TASK = "hung-task"
    OOM = "oom"
    DEADLOCK = "deadlock"
    LOCK_MISUSE = "lock-misuse"
    SUSPICIOUS_RCU = "suspicious-rcu"
    SLEEPING_IN_ATOMIC = "sleeping-in-atomic"
    MEMORY_LEAK = "memory-leak"
    DIVIDE_ERROR = "divide-error"
    STACK_OVERFLOW = "stack-overflow"
    STACK_CORRUPTION = "stack-corruption"
    DOUBLE_FAULT = "double-fault"
    TRAP_OTHER = "trap-other"
    HARDWARE_ERROR = "hardware-error"
    PANIC_OTHER = "panic-other"
    OTHER = "other"
    NOT_A_CRASH = "not-a-crash"

    def __str__(self) -> str:
        return self.value
