"""Who comes first of those who can have freed an object."""

from __future__ import annotations

from handmade_facts import ABSENT, slab_object

from oopsight.cheap import replace
from oopsight.diagnosis import Culprit
from oopsight.diagnosis.freed_ranking import Hints, _by_code
from oopsight.evidence.memory.object_users import ModuleUse, ObjectUsers
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.use_after_free.left_behind import LeftBehind

USE = ModuleUse("drv", "it holds it", None, ("drv_free",), (), ())
USERS = ObjectUsers("freed", "it was read", slab_object("free"), None, (USE,))
LEFT = LeftBehind("drv", "xa_load()", False, ("drv_note", "drv_issue"), "xa_erase()")
FREE = [Culprit("drv", "drv_free", None, None, "frees")]


def ranked(users: ObjectUsers, helpers: tuple[str, ...]) -> list[str | None]:
    doers = Doers("drv", (), ("drv_free",), (), helpers=helpers)
    hints = Hints(LEFT, doers, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT)
    return [one.function for one in _by_code(users, FREE, hints)[0]]


def test_who_has_a_helper_free_it_and_leaves_it_where_it_is_found() -> None:
    assert ranked(USERS, ("drv_free",)) == ["drv_note", "drv_issue", "drv_free"]
    assert ranked(USERS, ()) == ["drv_free"]


def test_who_frees_other_things_leaves_nothing_there() -> None:
    others = replace(USERS, modules=(replace(USE, frees_others=("drv_note",)),))
    assert ranked(others, ("drv_free",)) == ["drv_issue", "drv_free"]
