"""Who has another set a field that may fail, and does not look, on code assembled by hand."""

from __future__ import annotations

import pytest
from handmade_driver import Driver

from oopsight.evidence.modules import module_roles
from oopsight.evidence.modules.code_values import Value
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.skipping import _not_listening

# if (!esi) return -EINVAL; [rdi + 8] = rdi; return 0
SETS = ("85f6 7506 b8eaffffff c3 48897f08 31c0 c3",)
# The same, of which nobody has ever looked at what it returns.
SILENT = ("85f6 7501 c3 48897f08 c3",)
BASE = Value("argument", 1)


@pytest.fixture(autouse=True)
def _all_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_roles, "start_and_end", lambda *_: set())


def found(
    setter: str = "buffer", code: tuple[str, ...] = SETS, **others: tuple[str, ...]
) -> tuple[str, ...]:
    driver = Driver(**{setter: code, **others})
    end = driver.starts[setter] + 9
    use = FieldUse(
        (), (), counts=False, pointers=((8, BASE),), written=((8, BASE),), stored_at=(end,)
    )
    name = setter.partition(".")[0]
    return _not_listening(driver.ownership(), {name: 8}, {name: use})


def test_who_does_not_look_whether_it_could() -> None:
    setup = ("call buffer", "31c0 c3")
    looks = ("call buffer", "85c0 7502 31c0 c3")
    returns = ("call buffer", "c3")
    assert found(setup=setup, looks=looks, returns=returns) == ("setup",)
    assert found(through=("call returns", "31c0 c3"), returns=returns) == ("through",)
    # What never fails need not be asked.
    assert found(code=("48897f08 31c0 c3",), setup=setup) == ()


def test_an_answer_that_the_compiler_has_taken_out() -> None:
    setup = ("call buffer.isra.0", "31c0 c3")
    assert found("buffer.isra.0", SILENT, setup=setup) == ("setup",)
    assert found("buffer.isra.0", ("85f6 9090 90 48897f08 c3",), setup=setup) == ()
