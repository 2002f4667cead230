"""A program of a few structs in made-up memory, to walk the kernel's kinds of lists in."""

from __future__ import annotations

import functools

import drgn

BASE = 0xFFFF888000000000
_SIZE = 1 << 16


class Kernel:
    """Memory that tests write words into, and the C types of what lies there."""

    def __init__(self) -> None:
        self.prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
        self.data = bytearray(_SIZE)
        self.prog.add_memory_segment(BASE, _SIZE, self._read, False)
        self._types: dict[str, drgn.Type] = {}
        self.prog.register_type_finder("made", self._find, enable_index=0)
        word = self.prog.int_type("unsigned long", 8, False)
        pointer = self.prog.pointer_type(self.prog.void_type())
        self.word = word
        self.struct("list_head", next=pointer, prev=pointer)
        self.struct("hlist_head", first=pointer)
        self.struct("rb_node", __rb_parent_color=word, rb_right=pointer, rb_left=pointer)
        self.struct("xarray", xa_lock=word, xa_head=pointer)
        byte = self.prog.int_type("unsigned char", 1, False)
        slots = self.prog.array_type(pointer, 64)
        self.struct("xa_node", shift=byte, slots=slots)
        self.struct(
            "entry",
            value=word,
            name=pointer,
            next=pointer,
            list=self.type("list_head"),
            rb=self.type("rb_node"),
        )

    def _read(self, address: int, count: int, offset: int, physical: bool) -> bytes:
        del address, physical
        return bytes(self.data[offset : offset + count])

    def _find(
        self, prog: drgn.Program, kinds: object, name: str, filename: str | None
    ) -> drgn.Type | None:
        return self._types.get(name)

    def type(self, name: str) -> drgn.Type:
        return self._types[name]

    def struct(self, name: str, /, **members: drgn.Type) -> None:
        offset, made = 0, []
        for member, kind in members.items():
            made.append(drgn.TypeMember(kind, member, 8 * offset))
            offset += -(-drgn.sizeof(kind) // 8) * 8
        self._types[name] = self.prog.struct_type(name, offset, made)

    def linked(self, name: str, /, **members: str) -> None:
        """A struct of words: pointers (``mount *``) to structs, made later maybe, or structs.

        ``char *`` is a text, ``long`` a number.
        """
        made, offset = [], 0
        for member, kind in members.items():
            made.append(drgn.TypeMember(functools.partial(self._linked, kind), member, 8 * offset))
            offset += 8 if kind.endswith("*") or kind == "long" else self._types[kind].size or 0
        self._types[name] = self.prog.struct_type(name, offset, made)

    def _linked(self, kind: str) -> drgn.Type:
        if kind == "long":
            return self.word
        name, pointer, _ = kind.partition(" *")
        found = self.prog.int_type("char", 1, True) if name == "char" else self.type(name)
        return self.prog.pointer_type(found) if pointer else found

    def text(self, address: int, text: bytes) -> None:
        at = address - BASE
        self.data[at : at + len(text) + 1] = text + b"\0"

    def put(self, address: int, *values: int) -> None:
        at = address - BASE
        data = b"".join(value.to_bytes(8, "little") for value in values)
        self.data[at : at + len(data)] = data


def char_array(text: bytes) -> drgn.Object:
    """A name as a struct of the kernel holds it: an array of char with a zero behind the text."""
    prog = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    kind = prog.array_type(prog.int_type("char", 1, True), len(text) + 1)
    return drgn.Object.from_bytes_(prog, kind, text + b"\0")
