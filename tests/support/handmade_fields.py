"""What a function does with fields, from disassembly written by hand."""

from __future__ import annotations

from oopsight.evidence.modules.field_code import FieldUse, field_use

NAMES = {
    0x9000: "kfree",
    0x9100: "kzalloc",
    0x9200: "crypto_alloc_shash",
    0x9300: "kmem_cache_free",
    0x9400: "kmalloc_trace",
    0x9500: "kmemdup",
    0x9600: "misc_register",
    0x9700: "memset",
    0x9800: "memdup_user",
    0x9900: "_copy_from_user",
    0x9A00: "__init_waitqueue_head",
    0x9B00: "put_device",
    0x9C00: "kvfree_call_rcu",
    0x9D00: "sk_skb_reason_drop",
    0x9E00: "mempool_free",
    0x9F00: "call_rcu",
    0xA000: "memcpy",
    0xA100: "__list_add_valid_or_report",
}
START = 0x1000


def use(*lines: str, own: frozenset[str] = frozenset(), **known: frozenset[str]) -> FieldUse:
    """Each line four bytes long, from START on."""
    rows = []
    for number, line in enumerate(lines):
        mnemonic, _, operands = line.partition(" ")
        if mnemonic in ("lock", "rep"):
            name, _, operands = operands.partition(" ")
            mnemonic = f"{mnemonic} {name}"
        rows.append((START + 4 * number, b"\x90" * 4, mnemonic, operands))
    end = START + 4 * len(lines)
    return field_use(rows, lambda address: START <= address < end, NAMES.get, own, **known)
