"""Which functions of a module allocate from a slab cache, by their calls' arguments."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import drgn
import pytest
from handmade_exhaustion import HINT, use
from handmade_facts import backtrace, module, modules

from oopsight.cheap import replace
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.exhaustion import allocators

START = 0xFFFFFFFFC0000000
CODE_AT = START + 0x100
KMALLOC, KSTRDUP, TRACE = (0xFFFFFFFFC0008000 + 0x100 * n for n in range(3))
NAMES = {KMALLOC: "__kmalloc", KSTRDUP: "kstrdup", TRACE: "kmalloc_trace"}
CACHE, OTHER, VARIABLE = 0xFFFF888000001000, 0xFFFF888000002000, 0xFFFFFFFFC0004000
DRIVER = module("drv", START, START + 0x1000, "O")


class Kernel:
    """A driver of one function, and a variable that holds a cache."""

    def __init__(self, code: bytes, cache: int) -> None:
        self.code = bytes(0x100) + code + b"\xc3" + bytes(0x1000 - 0x101 - len(code))
        self.slab = cache
        self.cache: dict[str, Any] = {}

    def symbol(self, place: int | str) -> Any:
        for address, name in [*NAMES.items(), (CODE_AT, "drv_new")]:
            size = 0x80
            if place == name or (isinstance(place, int) and address <= place < address + size):
                return SimpleNamespace(name=name, address=address, size=size)
        raise LookupError(place)

    def read(self, address: int, size: int) -> bytes:
        if address >= START and address + size <= START + 0x1000:
            return self.code[address - START : address - START + size]
        raise drgn.FaultError("not here", address)

    def read_u64(self, address: int) -> int:
        if address == VARIABLE:
            return self.slab
        raise drgn.FaultError("not here", address)

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def type(self, name: str) -> Any:
        raise LookupError(name)


def call(offset: int, target: int) -> bytes:
    distance = target - (CODE_AT + offset + 5)
    return b"\xe8" + distance.to_bytes(4, "little", signed=True)


def found(code: bytes, cache: int = CACHE) -> tuple[list[str], bool]:
    session: Any = SimpleNamespace(prog=Kernel(code, cache))
    loaded = modules(DRIVER)
    functions, whole = allocators.allocating(session, loaded, DRIVER, CACHE, 64)
    return [one.function for one in functions], whole


@pytest.mark.parametrize(("size", "fits"), [(64, True), (40, True), (32, False), (65, False)])
def test_a_size_tells_the_cache(size: int, fits: bool) -> None:
    code = b"\xbf" + size.to_bytes(4, "little")  # mov edi, SIZE
    assert found(code + call(len(code), KMALLOC)) == (["drv_new"] if fits else [], True)


def test_a_variable_tells_the_cache() -> None:
    distance = VARIABLE - (CODE_AT + 7)
    code = b"\x48\x8b\x3d" + distance.to_bytes(4, "little", signed=True)  # mov rdi, [rip + …]
    assert found(code + call(len(code), TRACE)) == (["drv_new"], True)
    assert found(code + call(len(code), TRACE), OTHER) == ([], True)


def test_a_size_that_is_computed_leaves_it_open() -> None:
    code = b"\x48\x89\xf7"  # mov rdi, rsi
    assert found(code + call(len(code), KMALLOC)) == ([], False)
    code = b"\xbf\x20\0\0\0"  # mov edi, 32
    assert found(code + call(len(code), KSTRDUP)) == ([], False)


def test_whose_the_cache_may_be() -> None:
    path = backtrace(interrupted=False, allocate_slab=Role.CALLER, tap_make=Role.CALLER)
    frames = tuple(
        replace(f, module="udptap" if f.function == "tap_make" else None) for f in path.frames
    )
    asking = replace(path, frames=frames)
    (cache,) = use(cache=8000).caches[:1]
    assert allocators._named(replace(cache, hint=HINT), asking) == ("drv", [])
    few = replace(cache, hint=replace(HINT, objects=1))
    assert allocators._named(few, asking) == (None, ["udptap", "drv"])
    others = replace(path, frames=frames[1:])
    assert allocators._named(replace(cache, hint=None), others) == (None, [])


@pytest.mark.parametrize("size", [24, 40])
def test_what_lies_before_what_is_freed_with_a_device_tells_the_kernel(size: int) -> None:
    program = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    assert allocators.lies_before(program, "devm_kmalloc") == 40
    head = program.struct_type("devres", size, ())
    program.register_type_finder("made", lambda *_: head, enable_index=0)
    assert allocators.lies_before(program, "devm_kmalloc") == size
    assert allocators.lies_before(program, "__kmalloc") == 0
