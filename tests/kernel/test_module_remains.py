from __future__ import annotations

import struct

import drgn
import pytest
from handmade_memory import BASE, Kernel

from oopsight.kernel import module_remains
from oopsight.kernel.module_remains import Remains

AREA = 0xFFFFFFFFC0000000, 0xFFFFFFFFFF000000
START = 0xFFFFFFFFC0300000
PAGE = 4096
DESCRIBED, TABLE, OTHERS = BASE + PAGE, BASE + 2 * PAGE, BASE + 3 * PAGE
MODULE = DESCRIBED + 0x80
SYMBOLS = START + 0x3100
NAMES = (b"pool_tick", b"pool_exit", b"cleanup_module", b"pool_work")
STRINGS = SYMBOLS + 24 * (len(NAMES) + 1)


class Machine:
    """Three free pages: of a module's description, its symbol table, and of something else."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kernel = kernel = Kernel()
        self.free = [DESCRIBED, TABLE, OTHERS]
        monkeypatch.setattr(module_remains, "for_each_free_page", lambda *_, **__: iter(self.free))
        word = kernel.word
        char = kernel.prog.int_type("char", 1, True)
        kernel.struct("module_layout", base=word, size=word)
        kernel.struct("mod_kallsyms", symtab=word, num_symtab=word, strtab=word)
        kernel.struct(
            "module",
            state=word,
            list=kernel.type("list_head"),
            name=kernel.prog.array_type(char, 56),
            exit=word,
            core_layout=kernel.type("module_layout"),
            core_kallsyms=kernel.type("mod_kallsyms"),
        )
        self.set("state", 3)
        self.set("list.prev", 0xDEAD000000000122)
        self.write(self.at("name"), b"pool\0")
        self.set("exit", START + 0x30)
        self.set("core_layout.base", START)
        self.set("core_layout.size", 0x4000)
        self.set("core_kallsyms.symtab", SYMBOLS)
        self.set("core_kallsyms.num_symtab", len(NAMES) + 1)
        self.set("core_kallsyms.strtab", STRINGS)
        places = ((0x10, 2), (0x30, 2), (0x30, 2), (0x2020, 1))
        rows, strings = bytes(24), b"\0"
        for name, (offset, kind) in zip(NAMES, places, strict=True):
            rows += struct.pack("<IBBHQQ", len(strings), kind, 0, 1, START + offset, 0x20)
            strings += name + b"\0"
        self.write(TABLE + SYMBOLS % PAGE, rows + strings)

    def at(self, member: str) -> int:
        return MODULE + drgn.offsetof(self.kernel.prog.type("struct module"), member)

    def set(self, member: str, value: int) -> None:
        self.kernel.put(self.at(member), value)

    def write(self, address: int, data: bytes) -> None:
        at = address - BASE
        self.kernel.data[at : at + len(data)] = data

    def found(self) -> list[module_remains.Description]:
        return Remains(self.kernel.prog, AREA).descriptions()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_a_description_and_its_symbols_are_put_together(machine: Machine) -> None:
    (found,) = machine.found()
    assert (found.name, found.address, found.exit) == ("pool", MODULE, START + 0x30)
    assert found.holds(START + 0x3FFF)
    assert not found.holds(START + 0x4000)
    assert [(s.name, s.address - START, s.size, s.function) for s in found.symbols] == [
        ("pool_tick", 0x10, 0x20, True),
        ("pool_exit", 0x30, 0x20, True),
        ("cleanup_module", 0x30, 0x20, True),
        ("pool_work", 0x2020, 0x20, False),
    ]


def test_a_table_that_was_used_again_gives_no_names(machine: Machine) -> None:
    machine.write(TABLE + STRINGS % PAGE + 4, b"\0")
    assert machine.found()[0].symbols == ()
    machine.write(TABLE, bytes(PAGE))
    (found,) = machine.found()
    assert (found.name, found.symbols) == ("pool", ())


def test_two_pages_that_fit_equally_well_give_no_names(machine: Machine) -> None:
    kernel = machine.kernel
    copy = bytes(kernel.data[TABLE - BASE : OTHERS - BASE])
    machine.write(OTHERS, copy)
    assert len(machine.found()[0].symbols) == len(NAMES)
    machine.write(OTHERS + STRINGS % PAGE + 1, b"fool")
    assert machine.found()[0].symbols == ()


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("state", 0),
        ("list.prev", BASE),
        ("core_layout.base", START + 8),
        ("core_layout.base", 0xFFFF888000000000),
        ("core_layout.size", 0),
        ("core_layout.size", 1 << 40),
        ("exit", START - 8),
    ],
)
def test_what_does_not_hold_together_is_no_description(
    machine: Machine, member: str, value: int
) -> None:
    machine.set(member, value)
    assert machine.found() == []


def test_a_description_that_goes_on_in_another_page_is_not_believed(machine: Machine) -> None:
    size = drgn.sizeof(machine.kernel.prog.type("struct module"))
    data = bytes(machine.kernel.data[MODULE - BASE : MODULE - BASE + size])
    machine.write(DESCRIBED, bytes(PAGE))
    machine.write(TABLE - size + 8, data)
    assert machine.found() == []


def test_a_page_that_is_in_use_is_not_looked_at(machine: Machine) -> None:
    machine.free.remove(DESCRIBED)
    assert machine.found() == []
