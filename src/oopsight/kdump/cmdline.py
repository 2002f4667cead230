"""The kernel's command line and the grammar of ``crashkernel=``.

See Documentation/admin-guide/kdump/kdump.rst of the kernel. Sizes are bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MiB = 1 << 20
# What the kernel adds below 4 GiB beside `,high` when no `,low` is given: for DMA and SWIOTLB.
DEFAULT_LOW = 256 * MiB


def size(text: str) -> int | None:
    """Return the bytes of ``512M``; ``None`` for anything else.

    >>> size("1G")
    1073741824
    """
    match = re.fullmatch(r"(0x[0-9a-fA-F]+|\d+)([KMGT]?)B?", text.strip(), re.IGNORECASE)
    return int(match[1], 0) * UNITS[match[2].upper()] if match else None


def parameters(line: str, name: str) -> list[str]:
    """Return every value of a parameter, in order.

    >>> parameters("ro crashkernel=1G,high crashkernel=72M,low quiet", "crashkernel")
    ['1G,high', '72M,low']
    """
    return re.findall(rf"(?<!\S){re.escape(name)}=(\S*)", line)


def set_crashkernel(line: str, value: str) -> str:
    """Replace every ``crashkernel=`` by one (or, with a blank in ``value``, several).

    >>> set_crashkernel("ro crashkernel=auto quiet", "256M")
    'ro crashkernel=256M quiet'
    >>> set_crashkernel("", "256M")
    'crashkernel=256M'
    """
    wanted = " ".join(f"crashkernel={word}" for word in value.split())
    words = line.split(" ")
    kept: list[str] = []
    placed = False
    for word in words:
        if word.startswith("crashkernel="):
            if not placed:
                kept.append(wanted)
                placed = True
        else:
            kept.append(word)
    if placed:
        return " ".join(kept)
    return f"{line.rstrip()} {wanted}".strip()


def without(line: str, names: Collection[str]) -> str:
    """Take parameters out, with and without a value.

    >>> without("ro crashkernel=1G quiet hugepages=8", ("crashkernel", "hugepages"))
    'ro quiet'
    """
    return " ".join(word for word in line.split() if word.partition("=")[0] not in names)


@dataclass(frozen=True)
class Crashkernel:
    """What the ``crashkernel=`` parameters ask for on a machine of a given size.

    ``reserved`` is in bytes, 0 if no range matches; ``None`` where the kernel decides (``auto``)
    or the text cannot be understood, which ``valid`` tells apart.
    """

    text: str
    reserved: int | None
    valid: bool


def crashkernel(line: str, ram: int) -> Crashkernel | None:
    """Read the parameters as the kernel does; ``None`` if there are none.

    >>> crashkernel("crashkernel=1G-4G:192M,4G-:256M", 8 << 30).reserved == 256 << 20
    True
    """
    values = parameters(line, "crashkernel")
    if not values:
        return None
    text = " ".join(values)
    if values[-1] == "auto":
        return Crashkernel(text, None, valid=True)
    kinds: dict[str, int] = {}
    for value in values:
        amount = _one(value, ram)
        if amount is None:
            return Crashkernel(text, None, valid=False)
        match = re.search(r",(high|low|cma)$", value)
        kinds[match[1] if match else "plain"] = amount
    if "high" in kinds:
        return Crashkernel(text, kinds["high"] + kinds.get("low", DEFAULT_LOW), valid=True)
    return Crashkernel(text, kinds.get("plain", 0), valid=True)


def _one(value: str, ram: int) -> int | None:
    value = re.sub(r",(high|low|cma)$", "", value)
    value = re.sub(r"@(0x[0-9a-fA-F]+|\d+)[KMGT]?$", "", value, flags=re.IGNORECASE)
    if ":" not in value:
        return size(value)
    for part in value.split(","):
        match = re.fullmatch(r"(\w+)-(\w*):(\w+)", part)
        if match is None:
            return None
        start, end, amount = size(match[1]), size(match[2] or "0"), size(match[3])
        if start is None or end is None or amount is None:
            return None
        if start <= ram and (not match[2] or ram < end):
            return amount
    return 0
