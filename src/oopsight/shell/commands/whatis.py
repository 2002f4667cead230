"""Show what a symbol or a type is.

Examples
A variable, a function, a struct with offsets, a typedef:

    crash> whatis linux_banner
    crash> whatis strnlen
    crash> whatis -o list_head
    crash> whatis pid_t

Types of a size, and types with a member of a type:

    crash> whatis -r 16
    crash> whatis -m mm_struct
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from oopsight.shell.gdbformat import declaration, definition
from oopsight.shell.output import readable_errors
from oopsight.shell.types import find_type, unaliased

if TYPE_CHECKING:
    from oopsight.shell import Shell
    from oopsight.shell.arguments import Args
    from oopsight.shell.output import Out

SYNOPSIS = "whatis [-o] [struct | union | typedef | symbol] | [-r [size | range]] [-m member]"
OPTIONS = {
    "-o": "with each member's offset",
    "-r RANGE": "structs and unions of this size, or of a range of sizes (40-60)",
    "-m MEMBER": "structs and unions that have a member of this name or type",
}
MOST_DEPTH = 8


def run(shell: Shell, args: Args, out: Out) -> None:
    """Show each argument, or search."""
    from oopsight.shell import CommandError

    if args.has("-r", "-m"):
        _search(shell, args, out)
        return
    if not args.rest:
        raise CommandError(f"a symbol or a type is needed; usage: {SYNOPSIS}")
    words = list(args.rest)
    if words[0] in ("struct", "union", "enum") and len(words) > 1:
        words = [" ".join(words[:2]), *words[2:]]
    for word in words:
        _one(shell, word, args, out)


def _one(shell: Shell, word: str, args: Args, out: Out) -> None:
    from oopsight.shell import CommandError

    try:
        value = shell.prog[word]
    except (KeyError, LookupError):
        value = None
    if value is not None:
        text = declaration(value.type_, word)
        out.row(f"{text};", name=word, type=value.type_.type_name())
        return
    try:
        type_ = find_type(shell.prog, word)
    except LookupError:
        named = shell.names.address_of(word)
        if named is not None:
            out.row(f"<no debug information> {word};", name=word, type=None)
            return
        raise CommandError(f"{word}: neither a symbol nor a type") from None
    show_type(type_, args, out)


def show_type(type_: Any, args: Args, out: Out) -> None:
    """A type's definition and size."""
    from drgn import TypeKind, sizeof

    kind = type_.kind
    if (kind == TypeKind.TYPEDEF and type_.type.kind not in (TypeKind.STRUCT, TypeKind.UNION)) or (
        kind == TypeKind.TYPEDEF and unaliased(type_).tag
    ):
        out.line(f"typedef {declaration(type_.type, type_.name)};")
    elif unaliased(type_).kind in (TypeKind.STRUCT, TypeKind.UNION):
        head = "typedef " if kind == TypeKind.TYPEDEF else ""
        lines = list(definition(type_, offsets=args.has("-o")))
        lines[0] = head + lines[0]
        if head:
            lines[-1] += f" {type_.name};"
        out.lines("\n".join(lines))
    elif kind == TypeKind.ENUM:
        names = [f"{e.name} = {e.value}" for e in type_.enumerators or ()]
        out.line(f"enum {type_.tag or '{...}'} {{{', '.join(names)}}};")
    else:
        out.line(f"{declaration(type_, '')};")
    try:
        size = sizeof(type_)
    except (TypeError, ValueError):
        return
    out.row(f"SIZE: {size}", type=type_.type_name(), size=size)


def _search(shell: Shell, args: Args, out: Out) -> None:
    from oopsight.shell import CommandError

    low, high = 0, 1 << 40
    spec = args.value("-r")
    if spec:
        first, dash, last = spec.partition("-")
        try:
            low = int(first, 0)
            high = int(last, 0) if dash else low
        except ValueError:
            raise CommandError(f"{spec}: no size or range such as 40-60") from None
    member = args.value("-m")
    found = []
    for type_ in all_structs(shell, out):
        size = type_.size
        if size is None or not low <= size <= high:
            continue
        if member is not None and not _has(type_, member, 0):
            continue
        found.append((size, type_.tag))
    out.line(f"{'SIZE':>5}  TYPE" if member else "SIZE  TYPE")
    for size, name in sorted(set(found)):
        out.row(f"{size:{5 if member else 4}}  {name}", size=size, type=name)


def all_structs(shell: Shell, out: Out) -> Iterator[Any]:
    """Structs and unions of the kernel that have a name, as BTF lists them."""
    from oopsight.shell.btf import struct_names

    for word, name in struct_names(shell):
        try:
            type_ = shell.prog.type(f"{word} {name}")
        except (LookupError, SyntaxError):
            continue
        if type_.is_complete():
            yield type_


def _has(type_: Any, wanted: str, depth: int) -> bool:
    from drgn import TypeKind

    for member in type_.members or ():
        if member.name == wanted:
            return True
        inner = member.type
        while inner.kind in (TypeKind.POINTER, TypeKind.ARRAY):
            inner = inner.type
        try:
            name = inner.type_name().removeprefix("struct ").removeprefix("union ")
        except readable_errors():
            continue
        if name == wanted:
            return True
        anonymous = inner.kind in (TypeKind.STRUCT, TypeKind.UNION) and inner.tag is None
        if anonymous and depth < MOST_DEPTH and _has(inner, wanted, depth + 1):
            return True
    return False


def drgn_code(shell: Shell, args: Args) -> str:
    """A type, or the type of a variable."""
    words = " ".join(args.rest)
    if words in shell.prog:
        return f'print(prog["{words}"].type_)'
    if words.startswith(("struct ", "union ", "enum ")) or "*" in words:
        return f'print(prog.type("{words}"))'
    return f'print(prog.type("{find_type(shell.prog, words).type_name()}"))'
