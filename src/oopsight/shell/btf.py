"""Names of all structs and unions, from the BTF that the kernel carries in its memory."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from oopsight.shell.output import readable_errors

if TYPE_CHECKING:
    from oopsight.shell import Shell

MOST_BYTES = 1 << 26
_STRUCT, _UNION = 4, 5
# Bytes that follow a type's three words, by kind (Documentation/bpf/btf.rst): fixed, per element.
_EXTRA = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0),
          15: (0, 12), 17: (4, 0), 19: (0, 12)}  # fmt: skip


def struct_names(shell: Shell) -> list[tuple[str, str]]:
    """(``struct`` or ``union``, name) of each; empty where the kernel has no BTF."""
    if "struct-names" not in shell.cache:
        try:
            start = shell.prog.symbol("__start_BTF").address
            size = shell.prog.symbol("__stop_BTF").address - start
            data = shell.session.read(start, min(size, MOST_BYTES))
        except readable_errors():
            data = b""
        shell.cache["struct-names"] = parse(data)
    found: list[tuple[str, str]] = shell.cache["struct-names"]
    return found


def parse(data: bytes) -> list[tuple[str, str]]:
    """Names of structs and unions in a BTF section; as far as it is well formed."""
    if len(data) < 24 or data[:2] != b"\x9f\xeb":
        return []
    header, types_at, types_size, strings_at, strings_size = struct.unpack_from("<5I", data, 4)
    types = data[header + types_at : header + types_at + types_size]
    strings = data[header + strings_at : header + strings_at + strings_size]
    found: dict[tuple[str, str], None] = {}
    at = 0
    while at + 12 <= len(types):
        name, info, _ = struct.unpack_from("<3I", types, at)
        kind, count = info >> 24 & 0x1F, info & 0xFFFF
        fixed, each = _EXTRA.get(kind, (0, 0))
        at += 12 + fixed + each * count
        if kind in (_STRUCT, _UNION) and name < len(strings):
            text = strings[name : strings.find(b"\0", name)].decode("ascii", "replace")
            if text:
                found["struct" if kind == _STRUCT else "union", text] = None
    return list(found)
