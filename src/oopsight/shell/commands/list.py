"""Follow a linked list.

The start is the first object (or, after -H, an external list head; after -h, an object whose
list_head leads to the others). A broken or circular list is followed to where it breaks, which is
said.

Examples
All modules, by the external head `modules`, with a member of each:

    crash> list -H modules module.list -s module.name

All tasks beginning with one, by its embedded list_head:

    crash> list task_struct.tasks -h ffff8ebac28820c0 -s task_struct.pid,comm

A list that is linked by a member, ended by NULL:

    crash> list file_system_type.next -s file_system_type.name ffffffff9568c0e0
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.errors import UsageError
from oopsight.evidence import Address
from oopsight.shell.numbers import hexadecimal
from oopsight.shell.output import Gap, gap_from, readable_errors
from oopsight.shell.types import find_struct, offset_of

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = (
    "list [[-o] offset][-e end][-[s|S] struct[.member[,member]] [-l offset]] -[x|d] [-r|-B]\n"
    "     [-h [-O head_offset]|-H] start"
)
OPTIONS = {
    "-o OFFSET": "offset of the next pointer, in bytes or as struct.member",
    "-e END": "stop at this address",
    "-s STRUCT": "show each object as this type, or members of it",
    "-S STRUCT": "as -s",
    "-l OFFSET": "with -s: the list goes through a member at this offset",
    "-O OFFSET": "with -h: the first object's list_head lies at this other offset",
    "-r": "backwards, by the prev pointer",
    "-B": "tell where a circle begins and how long it is",
    "-h": "the start is an object with an embedded list_head",
    "-H": "the start is an external list_head",
    "-x": "numbers in hexadecimal",
    "-d": "numbers in decimal",
}
DRGN = ("-o", "-e", "-h", "-H", "-r")
MOST = 10_000_000


def run(shell: Shell, args: Args, out: Out) -> None:
    """Follow the list."""
    from oopsight.shell import CommandError

    start, offset = _place(shell, args)
    if start is None:
        raise CommandError(f"a start is needed; usage: {SYNOPSIS}")
    end = shell.address(args.value("-e") or "") if args.has("-e") else None
    shown = _Shown(shell, args, out)
    count = 0
    gap: Gap | None = None
    for item in _follow(shell, args, start, offset, end, out):
        if isinstance(item, Gap):
            gap = out.count(item)
            break
        count += 1
        shown.show(item)
    if gap is not None:
        out.line(f"{gap}: the list cannot be followed further: {gap.why}")
    if not count and gap is None:
        out.line("(empty)")


def _place(shell: Shell, args: Args) -> tuple[int | None, int]:
    """Where the list starts, and the offset of its links."""
    words = list(args.rest)
    offset = offset_of(shell.prog, args.value("-o") or "0")
    start: int | None = None
    for word in words:
        number = hexadecimal(word)
        if (
            "." in word
            and not word.startswith(("(", "&"))
            and number is None
            and not args.has("-o")
        ):
            offset = offset_of(shell.prog, word)
        elif number is not None and number < 0x10000 and len(words) > 1 and start is None:
            offset = number if word.startswith("0x") else int(word, 0)
        else:
            start = shell.address(word)
    return start, offset


def _follow(
    shell: Shell, args: Args, start: int, offset: int, end: int | None, out: Out
) -> Iterator[int | Gap]:
    """Addresses of objects; a gap where a link cannot be read."""
    prog = shell.prog
    backwards = 8 if args.has("-r") else 0
    first = True
    if args.has("-H"):
        at, stop, first = start, start, False
    elif args.has("-h"):
        head = offset_of(prog, args.value("-O") or "0") if args.has("-O") else offset
        at = stop = start + head
    else:
        at, stop = start + offset, None
    embedded = args.has("-h") or args.has("-H")
    seen: dict[int, int] = {}
    for number in range(MOST):
        if first or number:
            if at in seen:
                _circle(args, at, seen, number, out)
                return
            seen[at] = number
            yield at - offset
        try:
            following = prog.read_u64(at + backwards)
        except readable_errors() as error:
            yield gap_from(error, "link")
            return
        # An embedded list_head points to the next one's list_head, other links to the object.
        following_at = following if embedded else following + offset
        if following in (0, end) or (embedded and following == stop):
            return
        if not embedded and following in (start, stop):
            return
        at = following_at
    out.line(f"not followed beyond {MOST} items")


def _circle(args: Args, at: int, seen: dict[int, int], number: int, out: Out) -> None:
    length = number - seen[at]
    if args.has("-B"):
        out.line(f"loop of length {length}, beginning at {at:x} (item {seen[at] + 1})")
    else:
        out.line(f"list: duplicate list entry: {at:x} (a circle of {length} items)")


class _Shown:
    """Shows each object as -s says."""

    def __init__(self, shell: Shell, args: Args, out: Out) -> None:
        self.shell, self.args, self.out = shell, args, out
        self.types: list[tuple[Any, list[str]]] = []
        for flag in ("-s", "-S"):
            for value in (v for f, v in args.given if f == flag and v):
                name, _, members = value.partition(".")
                paths = [part for part in members.split(",") if part]
                self.types.append((find_struct(shell.prog, name), paths))
        self.inner = offset_of(shell.prog, args.value("-l") or "0") if args.has("-l") else 0

    def show(self, address: int) -> None:
        from drgn import Object

        from oopsight.shell import structs

        self.out.row(f"{address:x}", address=Address(address))
        for type_, paths in self.types:
            value = Object(self.shell.prog, type_, address=address - self.inner)
            with self.out.item(f"object at {address:x}"):
                structs.one(self.shell, value, paths, self.args, self.out)


def drgn_code(shell: Shell, args: Args) -> str:
    """The pointers themselves, up to the start, to NULL, or to the end that was named."""
    start, offset = _place(shell, args)
    if start is None:
        raise UsageError("a start is needed")
    link = offset + (8 if args.has("-r") else 0)
    end = shell.address(args.value("-e") or "0")
    if args.has("-H"):
        first, shift = f"prog.read_u64({start:#x}{' + 8' if args.has('-r') else ''})", offset
        return f"""
address = {first}
while address != {start:#x} and address != {end:#x}:
    print(hex(address - {shift}))
    address = prog.read_u64(address{" + 8" if args.has("-r") else ""})"""
    shift = offset if args.has("-h") else 0
    return f"""
address = {start:#x}
seen = set()
while address not in seen and address != {end:#x}:
    seen.add(address)
    print(hex(address))
    address = prog.read_u64(address + {link}) - {shift}"""
