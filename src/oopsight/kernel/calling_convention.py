"""Which registers a call hands over, keeps and loses: System V AMD64 ABI, as the kernel uses it."""

from __future__ import annotations

ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
"""In the order of the parameters."""
CALLEE_SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")
"""The same after a call as before it."""
CALLER_SAVED = ("rax", *ARGUMENTS, "r10", "r11")
"""Lost by a call; ``rax`` is what it returns."""
