"""Which registers a call hands over, keeps and loses: System V AMD64 ABI, as the kernel uses it."""

from __future__ import annotations

ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
"""In the order of the parameters."""
CALLEE_SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")
"""The same after a call as before it."""
CALLER_SAVED = ("rax", *ARGUMENTS, "r10", "r11")
"""Lost by a call; ``rax`` is what it returns."""
NEVER_RETURN = frozenset(
    [
        "__fortify_panic",
        "__module_put_and_kthread_exit",
        "__stack_chk_fail",
        "do_exit",
        "do_group_exit",
        "fortify_panic",
        "kthread_complete_and_exit",
        "kthread_exit",
        "make_task_dead",
        "panic",
        "rewind_stack_and_make_dead",
        "usercopy_abort",
        "vpanic",
    ]
)
"""Functions of the kernel behind whose calls no code is, or that of another function.

Those of tools/objtool/noreturns.h that drivers' and the kernel's common code calls.
"""
