"""Read memory.

The address is hexadecimal, a symbol, or an expression in parentheses; the count decimal. A line
that cannot be read is marked and the next ones follow.

Examples
Ten words, with the characters in them:

    crash> rd linux_banner 10

A string; bytes; signed numbers:

    crash> rd -a linux_banner
    crash> rd -8 linux_banner 20
    crash> rd -d jiffies

A stack, with symbols and slab caches by name:

    crash> rd -SS ffffd15e80463c00 32

Physical memory, and memory of the current task:

    crash> rd -p 1000 4
    crash> rd -u 400000 4
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oopsight.evidence import Address
from oopsight.kernel.addresses import signed
from oopsight.shell.code import one_address
from oopsight.shell.memory import dump
from oopsight.shell.numbers import decimal_first, hexadecimal
from oopsight.shell.output import Gap, gap_from, readable_errors
from oopsight.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = (
    "rd [-adDsSupxmfNR][-8|-16|-32|-64][-o offs][-e addr][-r file][address|symbol]\n   [count]"
)
OPTIONS = {
    "-p": "the address is physical",
    "-u": "the address is one of user space, of the current task",
    "-m": "the address is one of a Xen host (not in dumps that are read)",
    "-f": "the address is an offset into the dump file",
    "-d": "signed decimal",
    "-D": "unsigned decimal",
    "-s": "symbols by name",
    "-S": "symbols and slab objects by name; twice: their addresses too",
    "-x": "without the characters",
    "-8": "8-bit numbers",
    "-16": "16-bit numbers",
    "-32": "32-bit numbers",
    "-64": "64-bit numbers",
    "-a": "characters, up to the first that cannot be shown",
    "-N": "network byte order (16 and 32 bits)",
    "-R": "up to the address and including it",
    "-o OFFSET": "begin so far behind the address",
    "-e END": "up to this address",
    "-r FILE": "write the bytes to a file; the count is then one of bytes",
}
DRGN = ("-p", "-d", "-8", "-16", "-32", "-64", "-a")
MOST_BYTES = 1 << 30
_MOST_CHARACTERS = 1 << 20


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show memory."""
    from oopsight.shell import CommandError

    if args.has("-m"):
        raise CommandError("-m: dumps of a Xen host are not read")
    if not args.rest:
        raise CommandError(f"an address is needed; usage: {SYNOPSIS}")
    address = _address(shell, args)
    offset = args.value("-o")
    if offset:
        address += int(offset, 0)
    size = next((bits // 8 for bits in (8, 16, 32, 64) if args.has(f"-{bits}")), 8)
    count = _count(shell, args, address, size)
    read = reader(shell, args)
    if args.has("-r"):
        _to_file(shell, read, address, count, str(args.value("-r")), out)
    elif args.has("-a"):
        _text(read, address, count if len(args.rest) > 1 or args.has("-e") else None, out)
    else:
        _numbers(shell, args, out, read, address, count, size)


def _address(shell: Shell, args: Args) -> int:
    word = args.rest[0]
    if args.has("-p", "-f", "-u"):
        number = hexadecimal(word)
        if number is not None:
            return number
    return shell.address(word)


def _count(shell: Shell, args: Args, address: int, size: int) -> int:
    from oopsight.shell import CommandError

    end = args.value("-e")
    if end:
        unit = 1 if args.has("-r", "-a") else size
        count = -(-(shell.address(end) - address) // unit)
    elif len(args.rest) > 1:
        count = decimal_first(args.rest[1]) or 0
    else:
        count = 1
    if not 0 < count * size <= MOST_BYTES:
        raise CommandError(f"{count} numbers of {size} bytes cannot be shown")
    return count


def reader(shell: Shell, args: Args) -> Callable[[int, int], bytes]:
    """What reads the kind of address that the options say."""
    if args.has("-f"):
        path = Path(shell.session.info.path)

        def from_file(offset: int, size: int) -> bytes:
            with path.open("rb") as file:
                file.seek(offset)
                data = file.read(size)
            if len(data) < size:
                raise ValueError(f"the dump file ends before offset {offset:#x}")
            return data

        return from_file
    if args.has("-p"):
        return lambda address, size: bytes(shell.prog.read(address, size, physical=True))
    if args.has("-u"):
        from drgn.helpers.linux.mm import access_process_vm

        return lambda address, size: bytes(access_process_vm(shell.task, address, size))
    return shell.session.read


def _numbers(
    shell: Shell,
    args: Args,
    out: Out,
    read: Callable[[int, int], bytes],
    address: int,
    count: int,
    size: int,
) -> None:
    if args.has("-R"):
        address -= (count - 1) * size
    show = None
    if args.has("-d"):
        width = {1: 4, 2: 6, 4: 11, 8: 19}[size]
        show = lambda value, size: f"{signed(value, 8 * size):>{width}}"  # noqa: E731  # as below
    elif args.has("-D"):
        width = {1: 3, 2: 5, 4: 10, 8: 21}[size]
        show = lambda value, _: f"{value:>{width}}"  # noqa: E731  # one of three ways
    elif args.has("-s", "-S"):
        from oopsight.shell.symbolic import symbolic_word

        slabs, both = args.has("-S"), args.count("-S") > 1
        show = lambda value, _: f"{symbolic_word(shell, value, slabs=slabs, both=both):<16}"  # noqa: E731
        size = 8
    dump(read, address, count, size, out, show=show, text=not args.has("-x"), swap=args.has("-N"))


def _text(read: Callable[[int, int], bytes], address: int, count: int | None, out: Out) -> None:
    data = b""
    most = count if count is not None else _MOST_CHARACTERS
    gap: Gap | None = None
    while len(data) < most:
        at = address + len(data)
        try:
            piece = read(at, min(most - len(data), (at | 0xFF) + 1 - at))
        except readable_errors() as error:
            gap = out.count(gap_from(error, "memory"))
            break
        bad = next((i for i, byte in enumerate(piece) if not 32 <= byte < 127), None)
        if bad is not None and count is None:
            data += piece[:bad]
            break
        data += piece
    text = printable(data, 1 << 20)
    for start in range(0, len(text), 60):
        out.row(
            f"{address + start:x}:  {text[start : start + 60]}",
            address=Address(address + start),
            text=text[start : start + 60],
        )
    if gap is not None:
        out.line(gap.line)


def _to_file(
    shell: Shell,
    read: Callable[[int, int], bytes],
    address: int,
    count: int,
    name: str,
    out: Out,
) -> None:
    from oopsight.errors import OutputError

    path = Path(name).expanduser()
    if path.exists() and path.samefile(shell.session.info.path):
        raise OutputError(f"{path} is the dump itself; name another file")
    written = 0
    with path.open("wb") as file:
        while written < count:
            at = address + written
            size = min(count - written, (at | 0xFFF) + 1 - at)
            try:
                file.write(read(at, size))
            except readable_errors() as error:
                out.line(out.count(gap_from(error, "memory")).line)
                file.write(bytes(size))
            written += size
    out.line(f"{written} bytes copied from {address:#x} to {path}")


def drgn_code(shell: Shell, args: Args) -> str:
    """One read for each number."""
    where = one_address(shell, args)
    if args.has("-a"):
        return f"print(prog.read_c_string({where}).decode())"
    size = next((bits // 8 for bits in (8, 16, 32) if args.has(f"-{bits}")), 8)
    count = int(args.rest[1], 0) if len(args.rest) > 1 else 1
    physical = ", True" if args.has("-p") else ""
    return f"""
for address in range({where}, {where} + {size * count}, {size}):
    print(hex(address), hex(prog.read_u{8 * size}(address{physical})))"""
