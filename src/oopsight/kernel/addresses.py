"""Numbers as addresses: which can be in the kernel's half, and distances with a sign. x86-64."""

from __future__ import annotations

# Documentation/arch/x86/x86_64/mm.rst: with five levels of page tables the first of its areas that
# is mapped, for the LDT; with four levels all begin at 0xffff800000000000.
_LOWEST = 0xFF10_0000_0000_0000


def in_kernel_half(number: int) -> bool:
    """Whether a number can be an address of the kernel, be it of 48 bits or of 57.

    >>> in_kernel_half(0xFFFF888003A41C00), in_kernel_half(0xFF11000003A41C00)
    (True, True)
    >>> in_kernel_half(0x7FFD8B40), in_kernel_half(0x6B6B6B6B6B6B6B6B)
    (False, False)
    """
    return number >= _LOWEST


def signed(value: int, bits: int = 64) -> int:
    """A two's complement number.

    >>> signed(0xFFFFFFFFFFFFFFF8), signed(0x7F, 8)
    (-8, 127)
    """
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value
