"""A program with the shared libraries that it needs, found in the host's tree without running it.

What the dynamic linker does, from the ELF files alone: the libraries named ``DT_NEEDED``, in the
folders of ``DT_RUNPATH`` and the usual ones, and the linker itself (``PT_INTERP``). See elf(5).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from oopsight.kdump.errors import KdumpError
from oopsight.kdump.host import Root

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 1, 5, 15, 29
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")
DYNAMIC = struct.Struct("<QQ")
MOST_SEGMENTS = 128
MOST_FILES = 200
SEARCH = ("/usr/sbin", "/sbin", "/usr/bin", "/bin")
TRIPLETS = ("x86_64-linux-gnu", "aarch64-linux-gnu", "powerpc64le-linux-gnu", "s390x-linux-gnu")
LIBRARIES = (
    *("/lib64", "/usr/lib64"),
    *(f"{folder}/{triplet}" for folder in ("/lib", "/usr/lib") for triplet in TRIPLETS),
    *("/lib", "/usr/lib", "/usr/lib64/systemd", "/usr/lib/systemd"),
)


@dataclass(frozen=True)
class Elf:
    """What the dynamic linker must know of a file; all empty for a static program."""

    interpreter: str | None
    needed: tuple[str, ...]
    folders: tuple[str, ...]


def find(root: Root, name: str) -> str | None:
    """Return the path of a program, ``None`` if the host has none of this name."""
    return next((f"{f}/{name}" for f in SEARCH if root.exists(f"{f}/{name}")), None)


def closure(root: Root, program: str) -> dict[str, bytes]:
    """Return a program and all that it loads, by the paths at which they are looked for.

    :raises KdumpError: it is not there, is no 64-bit ELF file, or a library is missing
    """
    found: dict[str, bytes] = {}
    todo = [program]
    while todo and len(found) < MOST_FILES:
        path = todo.pop()
        if path in found:
            continue
        content = root.read_bytes(path)
        if content is None:
            raise KdumpError(f"{path}, which {program} needs, cannot be read")
        found[path] = content
        elf = read(content)
        if elf is None:
            raise KdumpError(f"{path} is no 64-bit little-endian ELF file")
        if elf.interpreter:
            todo.append(elf.interpreter)
        todo += [_library(root, name, elf.folders, path) for name in elf.needed]
    return found


def _library(root: Root, name: str, folders: tuple[str, ...], wanted_by: str) -> str:
    own = wanted_by.rsplit("/", 1)[0]
    places = [folder.replace("$ORIGIN", own) for folder in folders]
    for folder in (*places, *LIBRARIES):
        if root.exists(f"{folder}/{name}"):
            return f"{folder}/{name}"
    raise KdumpError(f"the library {name}, which {wanted_by} needs, was not found")


def read(content: bytes) -> Elf | None:
    """Read the dynamic section of an ELF file; ``None`` if it is none for 64 bits."""
    if content[:6] != b"\x7fELF\x02\x01" or len(content) < HEADER.size:
        return None
    fields = HEADER.unpack_from(content)
    offset, count = fields[5], min(fields[10], MOST_SEGMENTS)
    try:
        segments = [SEGMENT.unpack_from(content, offset + n * SEGMENT.size) for n in range(count)]
        return _dynamic(content, segments)
    except struct.error:
        return None


def _dynamic(content: bytes, segments: list[tuple[int, ...]]) -> Elf:
    interpreter = None
    entries: list[tuple[int, int]] = []
    for kind, _, place, _, _, size, _, _ in segments:
        if kind == PT_INTERP:
            interpreter = content[place : place + size].rstrip(b"\0").decode("ascii", "replace")
        elif kind == PT_DYNAMIC:
            area = content[place : place + size // DYNAMIC.size * DYNAMIC.size]
            entries = [(tag, value) for tag, value in DYNAMIC.iter_unpack(area)]
    strings = next((value for tag, value in entries if tag == DT_STRTAB), None)
    if strings is None:
        return Elf(interpreter, (), ())
    places = [
        place + strings - start
        for kind, _, place, start, _, size, _, _ in segments
        if kind == PT_LOAD and start <= strings < start + size
    ]
    if not places:
        return Elf(interpreter, (), ())
    table = places[0]

    def string(position: int) -> str:
        begin = table + position
        return content[begin : content.index(b"\0", begin)].decode("utf-8", "replace")

    needed = tuple(string(value) for tag, value in entries if tag == DT_NEEDED)
    paths = [string(value) for tag, value in entries if tag in {DT_RPATH, DT_RUNPATH}]
    return Elf(interpreter, needed, tuple(f for path in paths for f in path.split(":") if f))
