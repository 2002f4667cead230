"""Where kallsyms lies is told by its shape, in an image laid out as scripts/kallsyms.c does."""

from __future__ import annotations

import random
import struct

import pytest

from oopsight.errors import SymbolError
from oopsight.symbols.pack.kallsyms import NoKallsymsError, read_kallsyms
from oopsight.symbols.pack.kallsyms_search import search

TEXT = 0xFFFFFFFF9A000000
COUNT = 2500
NAMES = [f"Tsymbol_{number}" for number in range(COUNT)]
OFFSETS = [-1 - 16 * number for number in range(COUNT)]


def aligned(data: bytes, to: int = 8) -> bytes:
    return data + bytes(-len(data) % to)


def tables(*, marker: str = "I", base: int = TEXT) -> bytes:
    """What lies in the kernel's read-only data, in the order before Linux 6.4."""
    tokens, index = b"", []
    for code in range(256):
        index.append(len(tokens))
        # Codes that no name needs stand for nothing.
        tokens += {0x80: b"symbol"}.get(code, bytes([code]) if 0x20 < code < 0x7F else b"") + b"\0"
    names, markers = b"", []
    for number, name in enumerate(NAMES):
        if number % 256 == 0:
            markers.append(len(names))
        raw = name.encode().replace(b"symbol", b"\x80")
        names += bytes([len(raw)]) + raw
    parts = (
        struct.pack(f"<{COUNT}i", *OFFSETS),
        struct.pack("<Q", base),
        struct.pack("<I", COUNT),
        names,
        struct.pack(f"<{len(markers)}{marker}", *markers),
        tokens,
        struct.pack("<256H", *index),
    )
    return b"".join(map(aligned, parts))


class Kernel:
    """A kernel's image: text, read-only data with the tables, data."""

    def __init__(self, tables: bytes, *, missing: tuple[int, ...] = ()) -> None:
        noise = random.Random(6)  # noqa: S311  # no secret
        # Numbers that grow, as exception tables have them, are not yet a token index.
        rising = struct.pack("<300H", *range(5, 605, 2))
        before = noise.randbytes(3 * 4096) + bytes(8 * 4096) + rising
        self.image = aligned(aligned(before) + tables + noise.randbytes(5000), 4096)
        self.missing = missing
        self.named = {"_stext": TEXT, "init_uts_ns": TEXT + len(self.image) + 0x700}

    def read(self, address: int, size: int) -> bytes:
        at = address - TEXT
        pages = range(at >> 12, (at + size + 4095) >> 12)
        if at < 0 or at + size > len(self.image) or any(page in self.missing for page in pages):
            raise SymbolError(f"{address:#x} is not in the dump")
        return self.image[at : at + size]


@pytest.mark.parametrize("marker", ["I", "Q"])
def test_they_are_found_and_read(marker: str) -> None:
    kernel = Kernel(tables(marker=marker), missing=(0, 5))
    found = read_kallsyms(kernel.read, search(kernel.read, kernel.named.get))
    assert [found.name(number) for number in range(COUNT)] == [name[1:] for name in NAMES]
    assert found.addresses.tolist() == [TEXT + 16 * number for number in range(COUNT)]


def test_a_page_of_them_that_is_missing_is_said() -> None:
    whole = Kernel(tables())
    page = (search(whole.read, whole.named.get)["names"] - TEXT) >> 12
    kernel = Kernel(tables(), missing=(page + 1,))
    with pytest.raises(SymbolError):
        read_kallsyms(kernel.read, search(kernel.read, kernel.named.get))


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        tables()[: -512 + 100],  # the token index ends early
        tables(base=0x1000),  # addresses that are no kernel's
        tables().replace(b"\x06T\x80_100", b"\x09T\x80_100", 1),  # no longer what markers say
    ],
)
def test_what_does_not_agree_is_not_taken(broken: bytes) -> None:
    kernel = Kernel(broken)
    with pytest.raises(NoKallsymsError, match="not found"):
        search(kernel.read, kernel.named.get)


@pytest.mark.parametrize(
    "named",
    [{}, {"_stext": TEXT}, {"_stext": TEXT, "init_uts_ns": TEXT + (1 << 40)}],
)
def test_without_the_image_s_extent_nothing_is_searched(named: dict[str, int]) -> None:
    kernel = Kernel(tables())
    with pytest.raises(NoKallsymsError, match="neither"):
        search(kernel.read, named.get)
