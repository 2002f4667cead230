"""Names and constructors of the slab caches: ``slab_caches``."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "slab cache"
REGISTERS = ("kmem_cache_create*", "__kmem_cache_create*")

_CACHE = "struct kmem_cache"


def search(look: Look) -> None:
    """``kmem_cache_create()`` leaves them, ``kmem_cache_destroy()`` takes them back."""
    head = look.variable("slab_caches", "struct list_head").address_
    for cache in look.entries(("struct list_head", head, ""), (_CACHE, "list"), "slab cache"):

        def label(cache: int = cache) -> str:
            name = look.read(_CACHE, cache, "name")
            if look.gone(name) and look.has(_CACHE, "kobj.name"):
                # sysfs has a copy of what the cache was called when it was created.
                name = look.read(_CACHE, cache, "kobj.name")
            return look.string(name)

        with look.part("a slab cache"):
            look.at(_CACHE, cache, "name", label)
            look.at(_CACHE, cache, "ctor", label)
