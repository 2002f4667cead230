"""What ``struct``, ``union`` and ``*`` do: definitions, and objects in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.evidence import Address
from oopsight.shell.gdbformat import Format, declaration, definition
from oopsight.shell.numbers import cpus, decimal_first, hexadecimal
from oopsight.shell.output import Gap, gap_from, plain, readable_errors
from oopsight.shell.tasks import cpus_of
from oopsight.shell.types import find_struct, member_of, offset_of, unaliased
from oopsight.text import c_string

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

OPTIONS = {
    "-o": "offsets in a definition; in an object, each member's address",
    "-l OFFSET": "the address is that of a member: its offset, in bytes or as type.member",
    "-r": "the object's memory as it is",
    "-f": "the address is an offset into the dump file",
    "-u": "the address is one of user space, of the current task",
    "-x": "numbers in hexadecimal",
    "-d": "numbers in decimal",
    "-p": "pointers of the members followed: what they point to",
    "-c COUNT": "so many objects, one behind the other",
}
DRGN = ("-c",)
MOST_OBJECTS = 100_000


def synopsis(name: str) -> str:
    """How the command is typed."""
    return (
        f"{name} type[.member[,member]] [-o] [-l offset] [-rfuxdp]\n"
        "   [address | symbol][:cpus] [count | -c count]"
    )


def show(shell: Shell, args: Args, out: Out, kind: str) -> None:
    """Show a definition, or objects.

    :param kind: ``struct``, ``union``, or ``*`` for both
    """
    from oopsight.shell import CommandError

    kind, name, paths, words = _words(args, kind)
    if not name:
        raise CommandError(f"a type is needed; usage: {synopsis(kind)}")
    try:
        type_ = find_struct(shell.prog, name, kind)
    except LookupError:
        raise CommandError(
            f"{name}: no {'struct or union' if kind == '*' else kind} of this name is known"
        ) from None  # one message
    if not words:
        _definition(type_, paths, args, out)
        return
    for value in _objects(shell, args, words, type_, out):
        one(shell, value, paths, args, out)


def _words(args: Args, kind: str) -> tuple[str, str, list[str], list[str]]:
    """The kind, the type's name, the members, and what stands behind."""
    words = list(args.rest)
    if words and words[0] in ("struct", "union") and len(words) > 1:
        kind = words.pop(0)
    name, _, members = words.pop(0).partition(".") if words else ("", "", "")
    # `page.flags,mapping`: a comma begins another member of the same type.
    return kind, name, [part for part in members.split(",") if part], words


def _definition(type_: Any, paths: list[str], args: Args, out: Out) -> None:
    plain_type = unaliased(type_)
    if not plain_type.is_complete():
        raise LookupError(f"{type_.type_name()} is declared, not defined, in the debug information")
    if not paths:
        out.lines("\n".join(definition(type_, offsets=args.has("-o"))))
        out.line(f"SIZE: {_number(plain_type.size, args)}")
        for member in plain_type.members or ():
            out.row(
                None,
                name=member.name,
                offset=member.bit_offset // 8,
                type=member.type.type_name(),
            )
        return
    out.line(f"{plain_type.type_name()} {{")
    for path in paths:
        inner, offset = _member_type(plain_type, path)
        out.row(
            f"  [{_number(offset, args)}] {declaration(inner, path)};",
            name=path,
            offset=offset,
            type=inner.type_name(),
        )
    out.line("}")


def _number(value: int, args: Args) -> str:
    return hex(value) if args.has("-x") else str(value)


def _member_type(type_: Any, path: str) -> tuple[Any, int]:
    from drgn import offsetof

    current = type_
    for part in path.split("."):
        current = unaliased(current).member(part.partition("[")[0]).type
    return current, offsetof(type_, path)


def _objects(shell: Shell, args: Args, words: list[str], type_: Any, out: Out) -> Iterator[Any]:
    """The objects that the arguments name."""
    from drgn import Object, sizeof

    from oopsight.shell import CommandError

    prog = shell.prog
    count = 1
    wanted = args.value("-c")
    if wanted is None and len(words) > 1:
        wanted = words[-1]
    if wanted is not None:
        count = int(wanted) if wanted.lstrip("-").isdecimal() else decimal_first(wanted) or 1
    word, colon, spec = words[0].partition(":")
    if colon:
        from drgn.helpers.linux.percpu import per_cpu_ptr

        base = Object(prog, prog.pointer_type(type_), shell.address(word))
        chosen = [_cpu_of_task(shell)] if not spec else cpus(spec, cpus_of(prog))
        for cpu in chosen:
            pointer = per_cpu_ptr(base, cpu)
            out.line(f"[{cpu}]: {pointer.value_():x}")
            yield pointer[0]
        return
    if args.has("-f"):
        yield _from_file(shell, type_, word)
        return
    address = shell.address(word)
    if args.has("-l"):
        address -= offset_of(prog, args.value("-l") or "0")
    if args.has("-u"):
        yield from _user_objects(shell, type_, address, abs(count))
        return
    size = sizeof(type_)
    if not 0 < abs(count) <= MOST_OBJECTS:
        raise CommandError(f"a count of {count} is not possible")
    if count < 0:
        address += (count + 1) * size
    for index in range(abs(count)):
        if index:
            out.line()
        yield Object(prog, type_, address=address + index * size)


def _cpu_of_task(shell: Shell) -> int:
    from oopsight.shell.tasks import cpu_of

    return cpu_of(shell.task)


def _user_objects(shell: Shell, type_: Any, address: int, count: int) -> Iterator[Any]:
    from drgn import Object, sizeof
    from drgn.helpers.linux.mm import access_process_vm

    size = sizeof(type_)
    for index in range(count):
        data = access_process_vm(shell.task, address + index * size, size)
        yield Object.from_bytes_(shell.prog, type_, data)


def _from_file(shell: Shell, type_: Any, word: str) -> Any:
    from pathlib import Path

    from drgn import Object, sizeof

    offset = hexadecimal(word) or 0
    with Path(shell.session.info.path).open("rb") as file:
        if offset >> 63:
            raise ValueError(f"{word} is no offset into the dump file")
        file.seek(offset)
        data = file.read(sizeof(type_))
    if len(data) < sizeof(type_):
        raise ValueError(f"the dump file ends before offset {offset:#x} + {sizeof(type_)}")
    return Object.from_bytes_(shell.prog, type_, data)


def format_of(shell: Shell, args: Args, out: Out) -> Format:
    """How the options want numbers."""
    hexa = args.has("-x") or (shell.settings.radix == 16 and not args.has("-d"))
    return Format(shell.names, out, hexa)


def one(shell: Shell, value: Any, paths: list[str], args: Args, out: Out) -> None:
    """Show one object, or members of it."""
    name = value.type_.type_name()
    if args.has("-r"):
        _raw(shell, value, paths, out)
    elif args.has("-o") and value.address_ is not None:
        _addresses(value, paths, out)
    elif not paths:
        if args.has("-p"):
            for member in unaliased(value.type_).members or ():
                if member.name:
                    members(shell, value, [member.name], args, out)
            return
        form = format_of(shell, args, out)
        out.line(f"{name} {form.value(value)}")
        out.row(None, address=_address(value), type=name, value=_data(value))
    else:
        members(shell, value, paths, args, out)


def _address(value: Any) -> Address | None:
    return None if value.address_ is None else Address(value.address_)


def members(shell: Shell, value: Any, paths: list[str], args: Args, out: Out) -> None:
    """Show members of an object, a line or block each."""
    form = format_of(shell, args, out)
    data: dict[str, Any] = {}
    for path in paths:
        try:
            member = member_of(value, path)
            if args.has("-p"):
                _pointed(member, path, form, out)
            else:
                text = form.value(member, 1)
                comma = "" if _is_last(value.type_, path) else ","
                out.line(f"  {path} = {text}{comma}")
            data[path] = _data(member)
        except readable_errors() as error:
            gap = out.count(gap_from(error, path))
            out.line(f"  {path} = {gap}: {gap.why},")
            data[path] = gap
    out.row(None, address=_address(value), type=value.type_.type_name(), members=data)


def _is_last(type_: Any, path: str) -> bool:
    """Whether a member is its struct's last, behind which gdb puts no comma."""
    current = unaliased(type_)
    name = ""
    for part in path.split("."):
        if name:
            current = unaliased(current.member(name).type)
        name = part.partition("[")[0]
        if current.kind.name == "POINTER":
            return False
    rows = list(current.members or ())
    return bool(rows) and rows[-1].name == name and "[" not in path


def _pointed(member: Any, path: str, form: Format, out: Out) -> None:
    from drgn import TypeKind

    text = form.value(member, 1)
    out.line(f"  {declaration(member.type_, path)} = {text}")
    if member.type_.unaliased_kind() != TypeKind.POINTER or not member:
        return
    target = unaliased(unaliased(member.type_).type)
    if target.kind in (TypeKind.VOID, TypeKind.FUNCTION) or not target.is_complete():
        return
    body = form.value(member[0], 0).splitlines()
    out.line("  -> " + body[0])
    for line in body[1:]:
        out.line(f"     {line}")


def _data(value: Any, depth: int = 0) -> Any:
    """A value as data: numbers, texts, dictionaries; deep ones as text."""
    from drgn import TypeKind

    try:
        kind = value.type_.unaliased_kind()
        if kind in (TypeKind.STRUCT, TypeKind.UNION):
            if depth > 1:
                return "{...}"
            return {
                m.name: _data(value.member_(m.name), depth + 1)
                for m in unaliased(value.type_).members or ()
                if m.name
            }
        if kind == TypeKind.ARRAY:
            element = unaliased(unaliased(value.type_).type)
            if element.kind == TypeKind.INT and element.size == 1 and "char" in element.name:
                from oopsight.text import printable

                return printable(c_string(value))
            length = unaliased(value.type_).length or 0
            return [_data(value[i], depth + 1) for i in range(min(length, 256))]
        number = value.value_()
    except readable_errors() as error:
        return gap_from(error, "member")
    return Address(number) if kind == TypeKind.POINTER else number


def _addresses(value: Any, paths: list[str], out: Out) -> None:
    type_ = unaliased(value.type_)
    if not paths:
        out.lines("\n".join(definition(type_, offsets=True, base=value.address_)))
        from drgn import sizeof

        out.line(f"SIZE: {sizeof(type_)}")
        return
    out.line(f"{type_.type_name()} {{")
    for path in paths:
        inner, offset = _member_type(type_, path)
        at = value.address_ + offset
        out.row(f"  [{at:x}] {declaration(inner, path)};", name=path, address=Address(at))
    out.line("}")


def _raw(shell: Shell, value: Any, paths: list[str], out: Out) -> None:
    from drgn import sizeof

    from oopsight.shell.memory import dump_words

    if value.address_ is None:
        raise ValueError("the object has no address")
    if not paths:
        dump_words(shell, value.address_, -(-sizeof(value.type_) // 8), out)
        return
    for path in paths:
        member = member_of(value, path)
        dump_words(shell, member.address_, max(1, -(-sizeof(member.type_) // 8)), out)


__all__ = ["OPTIONS", "Gap", "members", "one", "plain", "show", "synopsis"]


def drgn_code(shell: Shell, args: Args) -> str:
    """A type, or objects in memory."""
    _, name, paths, words = _words(args, "*")
    type_ = find_struct(shell.prog, name, "*").type_name()
    if not words:
        return f'print(prog.type("{type_}"))'
    count = int(args.value("-c") or (words[1] if len(words) > 1 else "1"), 0)
    lines = [f'pointer = Object(prog, "{type_} *", {shell.address(words[0]):#x})']
    lines.append(f"for index in range({count}):")
    lines += [f"    print(pointer[index].{path})" for path in paths] or [
        "    print(pointer[index])"
    ]
    return "\n".join(lines)
