"""What functions do, on code assembled by hand."""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.modules.module_code import functions
from oopsight.evidence.modules.modules import Module

START = 0xFFFFFFFFC0400000
KFREE = 0xFFFFFFFF81200000


class Text:
    def __init__(self, *parts: tuple[str, str]) -> None:
        self.parts: dict[int, tuple[str, bytes]] = {}
        at = START
        for name, code in parts:
            data = bytes.fromhex(code.replace(" ", ""))
            self.parts[at] = (name, data)
            at += (len(data) + 15) & ~15

    def read(self, address: int, size: int) -> bytes | None:
        found = self.parts.get(address)
        return found[1][:size] if found else None

    def function(self, address: int) -> tuple[str, int, int] | None:
        return ("kfree", KFREE, 64) if address == KFREE else self.code_symbol(address)

    def code_symbol(self, address: int) -> tuple[str, int, int] | None:
        for start, (name, data) in self.parts.items():
            if start <= address < start + len(data):
                return name, start, len(data)
        return None

    def named(self, name: str, near: int) -> None:
        return None


def call(target: int, at: int) -> str:
    return "e8" + ((target - at - 5) & 0xFFFFFFFF).to_bytes(4, "little").hex()


def test_calls_references_and_copying_are_seen() -> None:
    text = Text(
        # call kfree; ret
        ("drop", call(KFREE, START) + "c3"),
        # 1: mov al,[rsi]; mov [rdi],al; inc rdi; inc rsi; test al,al; jne 1b; ret
        ("copy", "8a06 8807 48ffc7 48ffc6 84c0 75f2 c3"),
        # mov rax,[rip+0x100]; ret
        ("use", "488b0500010000 c3"),
        # rep stosb; ret
        ("fill", "f3aa c3"),
    )
    module = Module("m", Address(START), ((Address(START), Address(START + 64)),), "O")
    found = {one.name: one for one in functions(text, module)}
    assert list(found) == ["drop", "copy", "use", "fill"]
    assert found["drop"].calls == found["drop"].outside == {"kfree"}
    assert [name for name, one in found.items() if one.copies] == ["copy", "fill"]
    assert START + 32 + 7 + 0x100 in found["use"].refers


def test_the_module_s_own_functions_are_told_from_the_kernel_s() -> None:
    text = Text(
        ("pool_put", call(KFREE, START) + call(START + 16, START + 5) + "c3"),
        ("device_add", "c3"),
    )
    module = Module("m", Address(START), ((Address(START), Address(START + 32)),), "O")
    put, _ = functions(text, module)
    assert put.calls == {"kfree", "device_add"}
    assert (put.own, put.outside) == ({"device_add"}, {"kfree"})


def test_what_is_filled_on_the_own_stack_is_told_apart() -> None:
    text = Text(
        # mov rbp,rsp; mov rdi,rbp; rep stosq; mov rdi,rbp; call kfree; ret
        ("local", "4889e5 4889ef f348ab 4889ef" + call(KFREE, START + 12) + "c3"),
        # mov rdi,[rsi]; call kfree; mov [rdi+rax*4],ecx; ret
        ("store", "488b3e" + call(KFREE, START + 32 + 3) + "890c87 c3"),
        # lea rdi,[rsp+0x42]; and rdi,-8; add rdi,8; rep stosq; ret
        ("array", "488d7c2442 4883e7f8 4883c708 f348ab c3"),
        # lea rdi,[rsp+0x42]; sub rdi,rsp; rep stosq; ret
        ("apart", "488d7c2442 4829e7 f348ab c3"),
    )
    module = Module("m", Address(START), ((Address(START), Address(START + 112)),), "O")
    local, store, array, apart = functions(text, module)
    assert (array.copies, apart.copies) == (False, True)
    assert (local.copies, local.to_stack, local.indexed) == (False, {"kfree"}, False)
    assert (store.to_stack, store.indexed) == (frozenset(), True)


def test_what_is_stored_to_by_a_moved_pointer() -> None:
    text = Text(
        ("added", "48c1e005 480307 8908 c3"),  # shl rax,5; add rax,[rdi]; mov [rax],ecx; ret
        ("at", "488d04c7 8908 c3"),  # lea rax,[rdi+rax*8]; mov [rax],ecx; ret
        ("field", "488d4708 8908 c3"),  # lea rax,[rdi+8]; mov [rax],ecx; ret
        ("fixed", "4883c008 8908 c3"),  # add rax,8; mov [rax],ecx; ret
    )
    module = Module("m", Address(START), ((Address(START), Address(START + 64)),), "O")
    assert [one.indexed for one in functions(text, module)] == [True, True, False, False]


def test_a_bit_of_a_bitmap_by_its_number() -> None:
    text = Text(
        ("mark", "480fab07 c3"),  # bts [rdi],rax; ret
        ("drop", "f0480fb337 c3"),  # lock btr [rdi],rsi; ret
        ("first", "480fba2f05 c3"),  # bts [rdi],5; ret
        ("local", "480fab0424 c3"),  # bts [rsp],rax; ret
    )
    module = Module("m", Address(START), ((Address(START), Address(START + 64)),), "O")
    assert [one.indexed for one in functions(text, module)] == [True, True, False, False]


class Copies(Text):
    def function(self, address: int) -> tuple[str, int, int] | None:
        names = {KFREE: "snprintf", KFREE + 64: "sscanf"}
        return (names[address], address, 64) if address in names else self.code_symbol(address)


def test_the_same_room_however_far_on_it_begins() -> None:
    text = Copies(
        # mov esi,96; add rdi,rbx; call snprintf; ret
        ("runs", "be60000000 4801df" + call(KFREE, START + 8) + "c3"),
        # mov esi,96; lea rdi,[rbx+r12]; call snprintf; ret
        ("too", "be60000000 4a8d3c23" + call(KFREE, START + 16 + 9) + "c3"),
        # mov esi,96; sub esi,ebx; add rdi,rbx; call snprintf; ret
        ("less", "be60000000 29de 4801df" + call(KFREE, START + 32 + 10) + "c3"),
        # mov esi,96; lea rdi,[rbx+8]; call snprintf; ret
        ("field", "be60000000 488d7b08" + call(KFREE, START + 48 + 9) + "c3"),
    )
    module = Module("m", Address(START), ((Address(START), Address(START + 64)),), "O")
    found = {one.name: bool(one.runs_on) for one in functions(text, module)}
    assert found == {"runs": True, "too": True, "less": False, "field": False}


def test_what_sscanf_fills_is_its_third_and_all_behind() -> None:
    text = Copies(
        # mov rdi,rbx; lea rdx,[rsp+8]; call sscanf; ret
        ("local", "4889df 488d542408" + call(KFREE + 64, START + 8) + "c3"),
        # mov rdi,rsp; lea rdx,[rbx+8]; call sscanf; ret
        ("other", "4889e7 488d5308" + call(KFREE + 64, START + 16 + 7) + "c3"),
        # lea rcx,[rbp+36]; lea rdx,[rsp+4]; call sscanf; ret
        ("later", "488d4d24 488d542404" + call(KFREE + 64, START + 32 + 9) + "c3"),
    )
    module = Module("m", Address(START), ((Address(START), Address(START + 48)),), "O")
    local, other, later = functions(text, module)
    assert (local.to_stack, other.to_stack) == ({"sscanf"}, frozenset())
    assert not later.to_stack


def test_functions_are_looked_for_on_each_page() -> None:
    text = Text(("first", "c3"), ("near", "c3"))
    text.parts[START + 0x100] = ("apart", bytes([0xC3]))
    text.parts[START + 0x1000] = ("elsewhere", bytes([0xC3]))
    asked: list[int] = []
    plain = text.code_symbol

    def code_symbol(address: int) -> tuple[str, int, int] | None:
        asked.append(address)
        return plain(address)

    text.code_symbol = code_symbol  # type: ignore[method-assign]
    module = Module("m", Address(START), ((Address(START), Address(START + 0x4000)),), "O")
    assert [one.name for one in functions(text, module)] == ["first", "near", "apart", "elsewhere"]
    assert len(asked) < 200


def test_what_is_filled_with_zeros() -> None:
    text = Text(
        # xor eax,eax; rep stosq; ret
        ("zeroes", "31c0 f348ab c3"),
        # mov eax,0x7d; rep stosq; ret
        ("fills", "b87d000000 f348ab c3"),
    )
    found = functions(
        text, Module("bus", Address(START), ((Address(START), Address(START + 64)),), "O")
    )
    assert [(one.name, one.copies, one.zeroes) for one in found] == [
        ("zeroes", True, True),
        ("fills", True, False),
    ]


def test_who_stores_one_byte_behind_the_last() -> None:
    count, append = "8b02", "8d4801 890a 4088740210 c3"
    text = Text(
        # cmp eax,1; mov eax,[rdx]; lea ecx,[rax+1]; mov [rdx],ecx; mov [rdx+rax+0x10],sil; ret
        ("appends", f"83f801 {count} {append}"),
        # cmp eax,0xaf after the first
        ("limited", f"{count} 3daf000000 {append}"),
        # cmp dword [rdx],0x70 before it
        ("asked", f"833a70 {count} {append}"),
        # mov eax,[rdx]; mov [rdx+rax+0x10],sil; ret
        ("at_a_place", f"{count} 4088740210 c3"),
        # as the first, but on its own stack: mov [rsp+rax+0x10],sil
        ("on_stack", f"{count} 8d4801 890a 4088740410 c3"),
        # lea eax,[rcx+1]; mov [rdx+rax+0x10],sil; ret
        ("computed", "8d4101 4088740210 c3"),
    )
    found = functions(
        text, Module("bus", Address(START), ((Address(START), Address(START + 256)),), "O")
    )
    assert [one.name for one in found if one.appends] == ["appends"]
