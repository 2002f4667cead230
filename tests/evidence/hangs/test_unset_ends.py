"""Who makes the object with the field that a loop ends by, and does not set that."""

from __future__ import annotations

from oopsight.evidence.hangs.unset_ends import Unset, making_tables
from oopsight.evidence.modules.field_code import FieldUse
from oopsight.evidence.modules.module_code import ModuleFunction

FIELD = range(4, 8)


def function(name: str, *calls: str, indexed: bool = False) -> ModuleFunction:
    own = frozenset(one for one in calls if one.startswith("ft_"))
    return ModuleFunction(
        name, 0, frozenset(calls), frozenset(), copies=False, indexed=indexed, own=own
    )


def use(*sets: int, fills: str = "") -> FieldUse:
    return FieldUse((), (), counts=False, sets=frozenset(sets), fills=frozenset(fills.split()))


MAKER = function("ft_alloc", "__kmalloc", indexed=True)
CODE = [MAKER, function("ft_resize", "ft_alloc"), function("ft_flow", "kmem_cache_alloc")]


def test_who_makes_a_table_and_nobody_sets_the_field() -> None:
    uses = {"ft_alloc": use(0), "ft_resize": use(), "ft_flow": use(0x10)}
    assert making_tables(FIELD, uses, CODE) == Unset(("ft_alloc",), as_others=False)
    # Others do, or it does so itself.
    assert making_tables(FIELD, {**uses, "ft_flow": use(4)}, CODE).by == ()
    assert making_tables(FIELD, {**uses, "ft_alloc": use(0, 4)}, CODE).by == ()


def test_of_those_that_have_one_made_who_does_not_set_it() -> None:
    code = [*CODE, function("ft_create", "ft_alloc")]
    # The other one sets something as far from the beginning of another object.
    made = use(4, fills="ft_alloc")
    uses = {"ft_alloc": use(0), "ft_resize": use(4, fills="ft_find"), "ft_create": made}
    assert making_tables(FIELD, uses, code) == Unset(("ft_resize",), as_others=True)
