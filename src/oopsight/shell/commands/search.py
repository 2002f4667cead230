"""Search memory for values or strings.

Values are hexadecimal words of 8 bytes (4 with -w, 2 with -h). What the dump does not hold is
passed over and counted. Without a range all memory that is mapped is searched.

Examples
A word in all kernel memory; a string in a range:

    crash> search deadbeef
    crash> search -c -s linux_banner -l 200 version

Pointers into a page; which stacks hold an address:

    crash> search -m fff ffffffffc0452000
    crash> search -t ffffffffc0452030
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from oopsight.errors import UsageError
from oopsight.evidence import Address
from oopsight.shell import presence
from oopsight.shell.numbers import decimal_first, hexadecimal
from oopsight.shell.output import Gap, gap_from, readable_errors
from oopsight.shell.show import header
from oopsight.text import c_string, printable

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = (
    "search [-s start] [ -[kKV] | -u | -p | -t | -T ] [-e end | -l length] [-m mask]\n"
    "       [-x count] -[cwh] [value | (expression) | symbol | string] ..."
)
OPTIONS = {
    "-s START": "begin here",
    "-e END": "end here",
    "-l LENGTH": "search so many bytes, hexadecimal",
    "-k": "kernel memory (if nothing is said)",
    "-K": "kernel memory without what vmalloc mapped",
    "-V": "only what vmalloc mapped, and modules",
    "-u": "memory of the current task",
    "-p": "physical memory",
    "-t": "the kernel stacks of all tasks",
    "-T": "the kernel stacks of what the CPUs were running",
    "-m MASK": "bits that may differ",
    "-x COUNT": "show so many values before and behind",
    "-c": "strings",
    "-w": "words of 4 bytes",
    "-h": "words of 2 bytes",
}
DRGN = ("-c", "-w", "-h", "-m", "-k")
CHUNK = 1 << 20
# include/linux/vmalloc.h
_VM_IOREMAP, _VM_NO_GUARD = 0x1, 0x40
_GUARD = 4096
"""Nothing is mapped in the last page of most regions."""
MOST_FOUND = 1_000_000

Range = tuple[int, int]


def run(shell: Shell, args: Args, out: Out) -> None:
    """Search the chosen memory."""
    from oopsight.shell import CommandError

    if not args.rest:
        raise CommandError(f"a value is needed; usage: {SYNOPSIS}")
    size = 4 if args.has("-w") else 2 if args.has("-h") else 8
    matcher = _Matcher(shell, args, size)
    if args.has("-t", "-T"):
        _stacks(shell, args, matcher, out)
        return
    read, ranges = _memory(shell, args)
    missing = 0
    found = 0
    for start, end in ranges:
        for address, data in memory_chunks(read, start, end, matcher.overlap):
            if data is None:
                missing += 1
                continue
            for at in matcher.find(data):
                found += 1
                _show(read, address + at, matcher, args, out)
                if found >= MOST_FOUND:
                    out.line(f"not searched further after {MOST_FOUND} finds")
                    return
    if missing:
        out.line(f"[{missing} pages of the range are not in the dump]")


class _Matcher:
    """Finds the values in a block of memory."""

    def __init__(self, shell: Shell, args: Args, size: int) -> None:
        import numpy as np

        from oopsight.shell import CommandError

        self.size = size
        self.text = args.has("-c")
        self.mask = (hexadecimal(args.value("-m") or "0") or 0) & ((1 << 8 * size) - 1)
        self.strings = [word.encode() for word in args.rest] if self.text else []
        self.values = []
        if not self.text:
            for word in args.rest:
                value = shell.address(word)
                if value >> 8 * size:
                    raise CommandError(f"{word} does not fit into {size} bytes")
                self.values.append(value & ~self.mask)
        self.dtype = np.dtype(f"<u{size}")
        self.wanted = [self.dtype.type(value) for value in self.values]
        self.overlap = max((len(s) for s in self.strings), default=1) - 1

    def find(self, data: bytes) -> list[int]:
        """Offsets of what is found."""
        import numpy as np

        if self.text:
            found: set[int] = set()
            for text in self.strings:
                at = data.find(text)
                while at >= 0:
                    found.add(at)
                    at = data.find(text, at + 1)
            return sorted(found)
        words = np.frombuffer(data, self.dtype, len(data) // self.size)
        if self.mask:
            words = words & self.dtype.type(~self.mask & ((1 << 8 * self.size) - 1))
        # Nearly all blocks have nothing: one pass each, and no second one to collect the places.
        hits = [equal for value in self.wanted if (equal := words == value).any()]
        if not hits:
            return []
        return [int(i) * self.size for i in np.flatnonzero(np.logical_or.reduce(hits))]


def memory_chunks(
    read: Callable[[int, int], bytes], start: int, end: int, overlap: int
) -> Iterator[tuple[int, bytes | None]]:
    """Memory in blocks; where a block has a hole, page by page."""
    at = start
    tail = b""
    while at < end:
        size = min(end - at, CHUNK - at % CHUNK)
        try:
            data = read(at, size)
        except readable_errors():
            for page in range(at, at + size, 4096 - at % 4096 if at % 4096 else 4096):
                step = min(4096 - page % 4096, at + size - page)
                try:
                    piece = read(page, step)
                except readable_errors():
                    tail = b""
                    yield page, None
                    continue
                yield page - len(tail), tail + piece
                tail = piece[len(piece) - overlap :] if overlap else b""
            at += size
            continue
        yield at - len(tail), tail + data
        tail = data[len(data) - overlap :] if overlap else b""
        at += size


def _memory(shell: Shell, args: Args) -> tuple[Callable[[int, int], bytes], list[Range]]:
    """What reads, and which ranges."""
    from oopsight.shell import CommandError

    start = shell.address(args.value("-s") or "0") if args.has("-s") else None
    end = shell.address(args.value("-e") or "0") if args.has("-e") else None
    if args.has("-l"):
        length = hexadecimal(args.value("-l") or "")
        if not length or start is None:
            raise CommandError("-l needs a hexadecimal length, and -s")
        end = start + length
    prog = shell.prog
    if args.has("-p"):
        ranges = physical_ranges(shell)
        return lambda a, n: bytes(prog.read(a, n, physical=True)), _clip(ranges, start, end)
    if args.has("-u") or (start is not None and not start >> 47):
        from drgn.helpers.linux.mm import access_process_vm, for_each_vma

        if not shell.task.mm:
            raise CommandError("the task has no user memory")
        areas = [
            (int(v.vm_start.value_()), int(v.vm_end.value_())) for v in for_each_vma(shell.task.mm)
        ]
        return lambda a, n: bytes(access_process_vm(shell.task, a, n)), _clip(areas, start, end)
    if start is not None and end is not None:
        return shell.session.read, [(start, end)]
    return shell.session.read, _clip(
        kernel_ranges(shell, without_vmalloc=args.has("-K"), only_vmalloc=args.has("-V")),
        start,
        end,
    )


def _clip(ranges: list[Range], start: int | None, end: int | None) -> list[Range]:
    found = []
    for low, high in ranges:
        a = low if start is None else max(low, start)
        b = high if end is None else min(high, end)
        if a < b:
            found.append((a, b))
    return found


def physical_ranges(shell: Shell) -> list[Range]:
    """Memory that the dump holds; where its file does not tell, what the machine can use."""
    held = presence.ranges(shell)
    if held is not None:
        return held
    found = []
    resource = shell.prog["iomem_resource"].child.read_()
    for _ in range(100_000):
        if not resource:
            break
        try:
            name = c_string(resource.name) if resource.name else b""
            if name == b"System RAM":
                found.append((int(resource.start.value_()), int(resource.end.value_()) + 1))
            resource = resource.sibling.read_()
        except readable_errors():
            break
    return found


def kernel_ranges(shell: Shell, *, without_vmalloc: bool, only_vmalloc: bool) -> list[Range]:
    """Ranges of kernel addresses: direct map, vmalloc, modules, the kernel's image."""
    from drgn.helpers.linux.mm import for_each_vmap_area, phys_to_virt

    prog = shell.prog
    found: list[Range] = []
    if not only_vmalloc:
        for low, high in physical_ranges(shell):
            base = int(phys_to_virt(prog, low).value_())
            found.append((base, base + high - low))
        for first, last in (("_stext", "_end"), ("_text", "_end")):
            try:
                found.append((prog.symbol(first).address, prog.symbol(last).address))
                break
            except LookupError:
                continue
    if not without_vmalloc:
        try:
            for area in for_each_vmap_area(prog):
                if area.vm:
                    low, high = int(area.va_start.value_()), int(area.va_end.value_())
                    flags = int(area.vm.flags.value_())
                    if not flags & _VM_NO_GUARD:
                        high -= _GUARD
                    # Device memory is not in a dump.
                    if not flags & _VM_IOREMAP:
                        found.append((low, high))
        except readable_errors():
            pass
    return sorted(set(found))


def _show(
    read: Callable[[int, int], bytes], address: int, matcher: _Matcher, args: Args, out: Out
) -> None:
    if matcher.text:
        with out.item(f"{address:x}"):
            text = printable(_text_at(read, address))
            out.row(f"{address:x}: {text}", address=Address(address), text=text)
        return
    size = matcher.size
    around = decimal_first(args.value("-x") or "0") or 0
    value: int | Gap
    try:
        value = int.from_bytes(read(address, size), "little")
    except readable_errors() as error:
        value = gap_from(error, "memory")
    if around:
        from oopsight.shell.memory import dump

        dump(read, address - around * size, around, size, out)
    out.row(f"{address:x}: {value:0{2 * size}x}", address=Address(address), value=value)
    if around:
        dump(read, address + size, around, size, out)
        out.line()


def _text_at(read: Callable[[int, int], bytes], address: int) -> bytes:
    size = min(60, 4096 - address % 4096)
    return read(address, size).split(b"\0")[0]


def _stacks(shell: Shell, args: Args, matcher: _Matcher, out: Out) -> None:
    from oopsight.shell.stack import stack_bounds
    from oopsight.shell.tasks import current_tasks

    tasks: list[Any] = shell.tasks()
    if args.has("-T"):
        tasks = list(current_tasks(shell.prog).values())
    for task in tasks:
        try:
            start, end = stack_bounds(shell, task)
        except readable_errors():
            continue
        said = False
        for address, data in memory_chunks(shell.session.read, start, end, matcher.overlap):
            if data is None:
                continue
            for at in matcher.find(data):
                if not said:
                    header(out, task)
                    said = True
                _show(shell.session.read, address + at, matcher, args, out)
        if said:
            out.line()


def drgn_code(shell: Shell, args: Args) -> str:
    """One of drgn's searches."""
    if not args.rest:
        raise UsageError("there is drgn code only for a value")
    if args.has("-c"):
        return f"""
for address in prog.search_memory({args.rest[0]!r}):
    print(hex(address))"""
    bits = 32 if args.has("-w") else 16 if args.has("-h") else 64
    mask = f", ignore_mask=0x{args.value('-m')}" if args.has("-m") else ""
    return f"""
for address, value in prog.search_memory_u{bits}({shell.address(args.rest[0]):#x}{mask}):
    print(hex(address), hex(value))"""
