"""Which pages of physical memory the dump file holds, from its own bitmap: holes cost nothing.

Asking drgn for a page that was filtered out costs an exception each, and a filtered dump of a
machine with a terabyte has hundreds of millions.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oopsight.shell import Shell

_SIGNATURE = b"KDUMP   "
_MOST_BITMAP = 1 << 31


def ranges(shell: Shell) -> list[tuple[int, int]] | None:
    """Half-open ranges of physical addresses in the dump; ``None`` where that is not known.

    Known of compressed kdump files that are whole and not split.
    """
    if "presence" not in shell.cache:
        try:
            shell.cache["presence"] = _kdump(Path(shell.session.info.path))
        except (OSError, struct.error, ValueError):
            shell.cache["presence"] = None
    found: list[tuple[int, int]] | None = shell.cache["presence"]
    return found


def _kdump(path: Path) -> list[tuple[int, int]] | None:
    """After header and sub-header two bitmaps, the second of the pages held (diskdump_mod.h)."""
    import numpy as np

    with path.open("rb") as file:
        head = file.read(4096)
        if head[:8] != _SIGNATURE:
            return None
        version = struct.unpack_from("<i", head, 8)[0]
        block, sub_size, bitmap_blocks, max_pfn = struct.unpack_from("<iiII", head, 428)
        if not 4096 <= block <= 1 << 20 or not 0 < bitmap_blocks * block <= _MOST_BITMAP:
            return None
        file.seek(block)
        sub = file.read(4096)
        if version >= 1 and struct.unpack_from("<i", sub, 12)[0]:
            return None  # one part of a split dump
        if version >= 6:
            max_pfn = struct.unpack_from("<Q", sub, 96)[0] or max_pfn
        file.seek((1 + sub_size) * block + bitmap_blocks * block // 2)
        bitmap = np.frombuffer(file.read(bitmap_blocks * block // 2), dtype=np.uint8)
        bits = np.unpackbits(bitmap, bitorder="little")[: max_pfn or None].copy()
        # A file that was cut off has descriptors of pages whose data is not there; to read one of
        # these through the mapped file would end the process.
        file.seek((1 + sub_size + bitmap_blocks) * block)
        layout = np.dtype([("at", "<u8"), ("size", "<u4"), ("flags", "<u4"), ("page", "<u8")])
        held = np.flatnonzero(bits)
        data = file.read(24 * len(held))
        rows = np.frombuffer(data[: len(data) // 24 * 24], dtype=layout)
        size = path.stat().st_size
        bits[held[len(rows) :]] = 0
        bits[held[: len(rows)][rows["at"] + rows["size"] > size]] = 0
    return runs(np.packbits(bits, bitorder="little"), block, max_pfn)


def runs(bitmap: Any, page: int, most: int) -> list[tuple[int, int]]:
    """Ranges of addresses from a bitmap, a bit for each page, the lowest bit first.

    >>> import numpy as np
    >>> runs(np.array([0b00000110, 0b10000000], dtype=np.uint8), 4096, 16) == [
    ...     (0x1000, 0x3000), (0xf000, 0x10000)]
    True
    """
    import numpy as np

    bits = np.unpackbits(bitmap, bitorder="little")[: most or None]
    edges = np.flatnonzero(np.diff(np.concatenate(([0], bits, [0]))))
    return [(int(a) * page, int(b) * page) for a, b in edges.reshape(-1, 2)]
