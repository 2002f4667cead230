"""Values and types as the crash utility shows them: the layout of gdb's C printer.

Each member that cannot be read is marked in its place; the others are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass
from oopsight.shell.output import gap_from, readable_errors
from oopsight.shell.types import unaliased

if TYPE_CHECKING:
    from drgn import Type

    from oopsight.shell.names import Names
    from oopsight.shell.output import Out

MOST_ELEMENTS = 256
MOST_DEPTH = 64
_ESCAPES = {
    7: "\\a",
    8: "\\b",
    9: "\\t",
    10: "\\n",
    11: "\\v",
    12: "\\f",
    13: "\\r",
    27: "\\033",
    34: '\\"',
    92: "\\\\",
}  # one table


def c_escape(byte: int, quote: str = '"') -> str:
    r"""A byte as C writes it in a literal.

    >>> c_escape(0), c_escape(65), c_escape(34), c_escape(255)
    ('\\000', 'A', '\\"', '\\377')
    """
    if chr(byte) in "'\"":
        return f"\\{chr(byte)}" if chr(byte) == quote else chr(byte)
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


@dataclass
class Format:
    """How values are shown, and whom to tell of what cannot be read."""

    names: Names
    out: Out | None = None
    hexadecimal: bool = False
    most_elements: int = MOST_ELEMENTS

    def value(self, value: Any, depth: int = 0) -> str:
        """A drgn object as text, nested members indented below ``depth``."""
        try:
            return self._value(value, depth)
        except readable_errors() as error:
            gap = gap_from(error, "value")
            if self.out is not None:
                self.out.count(gap)
            return str(gap)

    def _value(self, value: Any, depth: int) -> str:
        from drgn import TypeKind

        kind = value.type_.unaliased_kind()
        if depth > MOST_DEPTH:
            return "{...}"
        if kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.CLASS):
            return self._struct(value, depth)
        if kind == TypeKind.ARRAY:
            return self._array(value, depth)
        return self.scalar(value)

    def _struct(self, value: Any, depth: int) -> str:
        type_ = unaliased(value.type_)
        if not type_.is_complete():
            return "<incomplete type>"
        pad = "  " * (depth + 1)
        parts = []
        for member in type_.members or ():
            text = self._member(value, member, depth)
            parts.append(f"{pad}{member.name} = {text}" if member.name else f"{pad}{text}")
        if not parts:
            return "{<No data fields>}"
        return "{\n" + ",\n".join(parts) + "\n" + "  " * depth + "}"

    def _member(self, value: Any, member: Any, depth: int) -> str:
        from drgn import Object, TypeKind

        try:
            if member.name:
                found = value.member_(member.name)
            else:
                # Anonymous members have no name to ask for.
                address = value.address_
                if address is None:
                    return "{...}"
                found = Object(value.prog_, member.type, address=address + member.offset)
        except readable_errors() as error:
            gap = gap_from(error, member.name or "member")
            if self.out is not None:
                self.out.count(gap)
            return str(gap)
        kind = member.type.unaliased_kind()
        if kind == TypeKind.ARRAY and not unaliased(member.type).length:
            return self._flexible(found)
        return self.value(found, depth + 1)

    def _flexible(self, value: Any) -> str:
        if value.address_ is not None and value.address_:
            return f"{value.address_:#x}"
        return "{}"

    def _array(self, value: Any, depth: int) -> str:
        from drgn import TypeKind

        type_ = unaliased(value.type_)
        length = type_.length
        if length is None or length == 0:
            return self._flexible(value)
        element = unaliased(type_.type)
        if element.kind == TypeKind.INT and element.size == 1 and _is_char(type_.type):
            return self._characters(value, length)
        nested = element.kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.ARRAY)
        texts = list(self._elements(value, length, depth, nested=nested))
        tail = texts.pop() if texts and texts[-1] == "..." else ""
        return "{" + ", ".join(texts) + tail + "}"

    def _elements(self, value: Any, length: int, depth: int, *, nested: bool) -> Iterator[str]:
        """Elements as text."""
        shown = min(length, self.most_elements)
        for index in range(shown):
            yield self.value(value[index], depth + 1 if nested else depth)
        if shown < length:
            yield "..."

    def _characters(self, value: Any, length: int) -> str:
        shown = min(length, self.most_elements)
        data = value.prog_.read(value.address_, shown) if value.address_ else value.to_bytes_()
        return _quoted(data[:shown], length > shown)

    def scalar(self, value: Any) -> str:
        """A number, pointer, enumerator or character."""
        from drgn import TypeKind

        type_ = unaliased(value.type_)
        kind = type_.kind
        number = value.value_()
        if kind == TypeKind.POINTER:
            return self.pointer(value, number)
        if kind == TypeKind.ENUM:
            return _enumerator(type_, number)
        if kind == TypeKind.BOOL:
            return "true" if number else "false"
        if kind == TypeKind.FLOAT:
            return repr(number)
        if self.hexadecimal:
            return hex(number & ((1 << (8 * type_.size)) - 1))
        if type_.size == 1 and value.bit_field_size_ is None:
            return f"{number} '{c_escape(number & 0xFF, chr(39))}'"
        return str(number)

    def pointer(self, value: Any, number: int) -> str:
        """A pointer, with the symbol it points at and the string where it is one."""
        text = hex(number)
        type_ = unaliased(value.type_)
        if number >> 63:
            found = self.names.of(number)
            if found is not None and (found.size or not found.offset):
                text += f" <{found.with_offset}>"
        if _is_char(type_.type) and number:
            try:
                data = value.prog_.read_c_string(number, max_size=self.most_elements)
            except readable_errors():
                text += " <error: cannot be read>"
            else:
                text += " " + _quoted(data, len(data) >= self.most_elements)
        return text


def _is_char(type_: Type) -> bool:
    from drgn import TypeKind

    plain = unaliased(type_)
    return plain.kind == TypeKind.INT and plain.size == 1 and "char" in plain.name


def _quoted(data: bytes, more: bool) -> str:
    """Characters in quotes, as gdb shows a ``char`` array."""
    # The NUL at the end is C's own and not shown.
    text = "".join(c_escape(byte) for byte in data.removesuffix(b"\0"))
    return f'"{text}"' + ("..." if more else "")


def _enumerator(type_: Type, number: int) -> str:
    names = {e.value: e.name for e in type_.enumerators or ()}
    if number in names:
        return str(names[number])
    flags = [(v, n) for v, n in names.items() if v > 0 and v & (v - 1) == 0 and v & number]
    if flags and sum(v for v, _ in flags) == number:
        return "(" + " | ".join(n for _, n in flags) + ")"
    return str(number)


# -- declarations ----------------------------------------------------------------------------


def declaration(type_: Type, name: str) -> str:
    """A declaration of a variable or member in C.

    :param name: may be empty
    """
    from drgn import TypeKind

    if type_.kind == TypeKind.POINTER:
        target = type_.type
        inner = f"*{name}"
        if target.kind in (TypeKind.FUNCTION, TypeKind.ARRAY):
            return declaration(target, f"({inner})")
        return declaration(target, inner)
    if type_.kind == TypeKind.ARRAY:
        length = type_.length
        return declaration(type_.type, f"{name}[{'' if length is None else length}]")
    if type_.kind == TypeKind.FUNCTION:
        arguments = ", ".join(declaration(p.type, "") for p in type_.parameters)
        if type_.is_variadic:
            arguments = f"{arguments}, ..." if arguments else "..."
        return declaration(type_.type, f"{name}({arguments or 'void'})")
    base = _base_name(type_)
    return f"{base} {name}".rstrip() if name else base


def _base_name(type_: Type) -> str:
    from drgn import TypeKind

    qualifiers = "".join(
        word for word in ("const ", "volatile ") if word.strip().upper() in str(type_.qualifiers)
    )
    if type_.kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.ENUM):
        word = {TypeKind.STRUCT: "struct", TypeKind.UNION: "union", TypeKind.ENUM: "enum"}
        return f"{qualifiers}{word[type_.kind]} {type_.tag or '{...}'}"
    if type_.kind == TypeKind.VOID:
        return f"{qualifiers}void"
    return f"{qualifiers}{type_.name}"


def definition(
    type_: Type, *, offsets: bool = False, base: int | None = None, only: str | None = None
) -> Iterator[str]:
    """The definition of a struct or union, a line each.

    :param offsets: each member's offset in front of it
    :param base: an address to add to the offsets
    :param only: one member alone
    """
    plain = unaliased(type_)
    head = _base_name(plain)
    yield f"{head} {{"
    width = 16 if base is not None else max(3, len(str(plain.size or 0)))

    def mark(offset_bits: int | None, depth: int) -> str:
        pad = "    " * depth
        if not offsets:
            return pad
        if offset_bits is None:
            return " " * (width + 4) + pad[4:]
        offset = offset_bits // 8 + (base or 0)
        shown = f"[{offset:x}]" if base is not None else f"[{offset}]"
        return f"{shown:>{width + 3}} " + pad[4:]

    yield from _members(plain, 1, 0, mark, only)
    yield "}"


def _members(
    type_: Type,
    depth: int,
    start: int,
    mark: Callable[[int | None, int], str],
    only: str | None = None,
) -> Iterator[str]:
    from drgn import TypeKind

    if depth > MOST_DEPTH:
        return
    for member in type_.members or ():
        if only is not None and member.name != only:
            continue
        inner = member.type
        count = ""
        while inner.kind == TypeKind.ARRAY:
            count += f"[{'' if inner.length is None else inner.length}]"
            inner = inner.type
        stars = ""
        while inner.kind == TypeKind.POINTER and not _is_named(inner.type):
            stars += "*"
            inner = inner.type
        anonymous = inner.kind in (TypeKind.STRUCT, TypeKind.UNION) and inner.tag is None
        if anonymous and inner.is_complete():
            word = "struct" if inner.kind == TypeKind.STRUCT else "union"
            offset = start + member.bit_offset
            yield f"{mark(None, depth)}{word} {{"
            yield from _members(inner, depth + 1, offset, mark)
            tail = f" {stars}{member.name}{count}" if member.name else ""
            yield f"{mark(offset if member.name else None, depth)}}}{tail};"
            continue
        bits = f" : {member.bit_field_size}" if member.bit_field_size is not None else ""
        text = declaration(member.type, member.name or "")
        yield f"{mark(start + member.bit_offset, depth)}{text}{bits};"


def _is_named(type_: Type) -> bool:
    from drgn import TypeKind

    return not (type_.kind in (TypeKind.STRUCT, TypeKind.UNION) and type_.tag is None)
