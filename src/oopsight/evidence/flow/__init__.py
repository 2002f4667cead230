"""Backward data flow through x86-64 kernel code: where a value in a register came from.

``instructions`` decodes, ``code`` has a function's control flow, ``effects`` says what an
instruction does to a register or stack slot, ``values`` says what one holds, ``trace`` walks
backwards by ``moves``, ``calls`` goes from a frame into its caller.
These know nothing of drgn: memory and symbols come through :class:`Reader`, so that code assembled
by hand can be traced in a test.
``extent`` asks for all that told how far an access went.
``data_flow`` makes a fact of it for the crash, with ``frames``, ``follower``, ``ways`` and
``type_names``.
"""

from __future__ import annotations

from typing import Protocol


class Reader(Protocol):
    """What the tracing needs of a dump."""

    def read(self, address: int, size: int) -> bytes | None:
        """Memory, or ``None`` where it is not mapped or not in the dump."""

    def function(self, address: int) -> tuple[str, int, int] | None:
        """Name, start and size in bytes of the function that holds the address."""

    def named(self, name: str, near: int) -> tuple[str, int, int] | None:
        """The function of a name; of several (static ones) that in the same object as ``near``."""

    def code_symbol(self, address: int) -> tuple[str, int, int] | None:
        """As :meth:`function`, but only if the symbol is one of code."""
