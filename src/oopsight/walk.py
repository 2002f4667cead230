"""Walks over what a dump holds, which come to an end in a damaged one, too."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drgn import Object

MOST_MODULES = 10_000
MOST_NETWORKS = 10_000
"""Namespaces; a machine full of containers has some thousands."""
MOST_DEVICES = 100_000
"""Network devices of one namespace."""


def each_once(objects: Iterable[Object], most: int) -> Iterator[Object]:
    """The objects of a list up to the first that comes again: where a list runs into itself.

    :param objects: pointers
    :raises drgn.FaultError: as the list does, where a link cannot be read
    """
    seen: set[int] = set()
    for one in itertools.islice(objects, most):
        address = one.value_()
        if address in seen:
            return
        seen.add(address)
        yield one
