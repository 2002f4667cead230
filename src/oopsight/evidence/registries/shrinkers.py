"""Shrinkers, which give memory back when it is short."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "shrinker"
REGISTERS = ("register_shrinker*", "shrinker_register", "__register_shrinker")

_SHRINKER = "struct shrinker"


def search(look: Look) -> None:
    """``register_shrinker()`` leaves them; the next shortage of memory calls them."""
    head = ("struct list_head", look.variable("shrinker_list", "struct list_head").address_, "")
    for shrinker in look.entries(head, (_SHRINKER, "list"), "shrinker"):
        for member in ("count_objects", "scan_objects"):
            look.at(_SHRINKER, shrinker, member, "shrinker")
