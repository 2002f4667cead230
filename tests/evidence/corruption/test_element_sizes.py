"""Tables that are made for smaller elements than are used, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_machine import Machine as Code

from oopsight.evidence.corruption.element_sizes import Elements, counts_to_memory, too_small
from oopsight.evidence.flow.calls import Calls
from oopsight.evidence.modules.field_code import FieldUse, Stored
from oopsight.evidence.modules.module_code import ModuleFunction

# shl rsi,3; mov edx,0xdc0; call krealloc (the third function after it); ret
RECKONS = "48c1e603 bac00d0000 e8f22f0000 c3"
# The same by jumping there: mov edx,0xdc0; shl rsi,3; jmp krealloc
JUMPS = "bac00d0000 48c1e603 e9f22f0000"
# mov rax,[rdi+8]; lea rcx,[rsi+rsi*2]; mov [rax+rcx*8+16],rdx; ret: elements of 24 bytes
USES = "488b4708 488d0c76 488954c810 c3"
# mov rax,[rdi+8]; mov [rax+rsi*8],rdx; ret
FITS = "488b4708 488914f0 c3"


def found(*functions: str, names: tuple[str, ...], kept: dict[str, str]) -> list[Elements]:
    """Of a module's functions.

    :param kept: whose result a function stores at offset 8
    """
    code = Code(*functions, "c3")
    code.names = [*names, "krealloc"]
    inner = {
        code.start(number): ModuleFunction(
            name, code.start(number), frozenset(), frozenset(), copies=False
        )
        for number, name in enumerate(names)
    }
    uses = {name.partition(".")[0]: FieldUse((), (), counts=False) for name in names}
    for name, called in kept.items():
        uses[name] = FieldUse((), (Stored(8, "returned", called),), counts=False)
    return list(too_small(Calls(code, (), {}), inner, uses))


@pytest.mark.parametrize(("uses", "small"), [(USES, True), (FITS, False)])
def test_more_is_used_of_each_element(uses: str, *, small: bool) -> None:
    names = ("chart_reserve", "chart_put", "chart_get")
    one = found(RECKONS, uses, "c3", names=names, kept={"chart_reserve": "krealloc"})
    told = [Elements("chart_reserve", 8, 24, "chart_put")]
    assert one == (told if small else [])
    # One that takes elements for smaller ones is right, or the others are wrong.
    assert found(RECKONS, uses, FITS, names=names, kept={"chart_reserve": "krealloc"}) == []


def test_a_helper_that_only_allocates() -> None:
    names = ("chart_grow", "chart_put", "chart_reserve")
    one = found(JUMPS, USES, "c3", names=names, kept={"chart_reserve": "chart_grow"})
    assert [each.function for each in one] == ["chart_reserve"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        # mov eax,[rdi+4]; cmp eax,[rdi]; jae 1f; mov [rsi+rax],cl; inc eax; mov [rdi+4],eax; 1: ret
        ("8b4704 3b07 7309 880c06 83c001 894704 c3", True),
        # The same with ja: one more than it is told.
        ("8b4704 3b07 7709 880c06 83c001 894704 c3", False),
        # mov eax,[rdi+4]; cmp [rdi],eax; jbe 1f; mov [rsi+rax],cl; inc dword ptr [rdi+4]; 1: ret
        ("8b4704 3907 7607 880c06 83470401 c3", True),
        # With mov eax,edx in place of the load.
        ("89d0 3b07 7307 880c06 83470401 c3", False),
    ],
)
def test_a_count_in_memory_that_comes_up_to_a_number_there(text: str, told: bool) -> None:
    code = Calls(Code(text), (), {}).function(Code(text).start(0))
    assert code is not None
    assert counts_to_memory(code) is told
