"""Functions as a compiler made them, with calls of lock functions at made-up addresses."""

from __future__ import annotations

import struct

from oopsight.kernel.code_locks import Function

START = 0xFFFFFFFFC0000000
NAMES = {
    START + 0x1000: "mutex_lock",
    START + 0x1100: "mutex_unlock",
    START + 0x1200: "_raw_spin_lock",
    START + 0x1300: "_raw_spin_unlock",
    START + 0x1400: "helper",
    START + 0x1500: "down_interruptible",
    START + 0x1600: "up",
    START + 0x1700: "mutex_trylock",
    START + 0x1800: "complete",
    START + 0x1900: "unlock_page",
    START + 0x1A00: "__lock_page",
    START + 0x1B00: "out_of_line_wait_on_bit_lock",
    START + 0x1C00: "wake_up_bit",
    START + 0x1D00: "__rcu_read_lock",
    START + 0x1E00: "__rcu_read_unlock",
    START + 0x1F00: "rtnl_lock",
    START + 0x2000: "rtnl_unlock",
    START + 0x2100: "kfree_skb",
    START + 0x2200: "down_read",
    START + 0x2300: "up_read",
    START + 0x2400: "__wake_up",
    START + 0x2500: "kmalloc_trace",
    START + 0x2600: "finish_wait",
    START + 0x2700: "synchronize_rcu",
    START + 0x2800: "__list_del_entry_valid",
    START + 0x2900: "__stack_chk_fail",
    START + 0x2A00: "__local_bh_enable_ip",
}
ADDRESSES = {name: address for address, name in NAMES.items()}


def assemble(*parts: str) -> bytes:
    """Code from hex, with ``call NAME`` and ``jmp NAME`` for direct ones."""
    code = b""
    for part in parts:
        word, _, name = part.partition(" ")
        if word in ("call", "jmp") and name in ADDRESSES:
            opcode = b"\xe8" if word == "call" else b"\xe9"
            distance = ADDRESSES[name] - (START + len(code) + 5)
            code += opcode + struct.pack("<i", distance)
        else:
            code += bytes.fromhex(part)
    return code


def function(*parts: str) -> Function:
    return Function(assemble(*parts), START, NAMES.get)


def linked(starts: dict[str, int], **parts: str) -> dict[str, Function]:
    """Functions by name, from hex; ``call NAME`` calls another of them.

    :param starts: where each begins
    """
    found = {}
    for name, text in parts.items():
        raw = b""
        for part in text.split("; "):
            word, _, called = part.partition(" ")
            if word == "call":
                distance = starts[called] - (starts[name] + len(raw) + 5)
                raw += b"\xe8" + distance.to_bytes(4, "little", signed=True)
            else:
                raw += bytes.fromhex(part)
        found[name] = Function(raw, starts[name], NAMES.get)
    return found
