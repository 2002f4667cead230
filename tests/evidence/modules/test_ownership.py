"""What functions do with a pointer that they are handed, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_driver import Driver

from oopsight.evidence.modules import module_roles, ownership
from oopsight.evidence.modules.ownership import plain
from oopsight.kernel.pointer_fate import FREES, KEEPS, RETURNS, USES

RET = "c3"
# mov [rsi+0x10],rdi; ret to follow
KEEP = "48897e10"


@pytest.fixture(autouse=True)
def _all_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())


@pytest.mark.parametrize(
    ("code", "does"),
    [
        (("call kfree_sensitive", RET), FREES),
        (("jmp kfree",), FREES),
        (("call printk", RET), USES),
        (("call list_add", RET), KEEPS),
        ((KEEP, RET), KEEPS),
        # It frees it on one way alone: test esi,esi; je past the call
        (("85f6 7405", "call kfree", RET), KEEPS),
    ],
)
def test_what_is_done_with_an_argument(code: tuple[str, ...], does: str) -> None:
    driver = Driver(drop=code)
    assert driver.ownership().does(driver.starts["drop"], "rdi") == does


def test_a_jump_to_a_thunk_is_a_return() -> None:
    driver = Driver(drop=("jmp __x86_return_thunk",))
    thunk = next(at for at, (name, _) in driver.symbols.items() if name == "__x86_return_thunk")
    assert driver.ownership().does(thunk, "rdi") == RETURNS


def test_functions_are_looked_into_but_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = {f"f{n}": (f"call f{n + 1}", RET) for n in range(8)}
    driver = Driver(**chain, f8=("jmp kfree",))
    assert driver.ownership().does(driver.starts["f0"], "rdi") == FREES
    monkeypatch.setattr(ownership, "_DEEPEST", 4)
    assert driver.ownership().does(driver.starts["f0"], "rdi") == KEEPS


def test_functions_that_call_each_other_come_to_an_end() -> None:
    driver = Driver(ping=("call pong", RET), pong=("call ping", RET))
    assert driver.ownership().does(driver.starts["ping"], "rdi") == KEEPS


def test_variants_of_a_name_are_one() -> None:
    assert plain("__kmalloc_noprof") == plain("kmalloc") == "kmalloc"
    assert plain("memcpy_orig.isra.0") == "memcpy"
