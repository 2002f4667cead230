"""What the kernel's counters say, and what is in none of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from oopsight.evidence.exhaustion.memory_use import _Counter

COUNTS = {"NR_SLAB_UNRECLAIMABLE_B": 5000, "NR_SLAB_RECLAIMABLE_B": 500, "NR_FILE_PAGES": 300}


@pytest.mark.parametrize(
    ("in_caches", "unaccounted"),
    [
        (5500, 3200),
        (1500, 7200),  # kmalloc() of more than its caches' objects counts as slabs
        (5600, 3200),  # the counters lag behind a little
        (None, 3200),  # some cache is not in the dump
    ],
)
def test_slabs_that_are_no_caches_are_the_kernels_own_pages(
    monkeypatch: pytest.MonkeyPatch, in_caches: int | None, unaccounted: int
) -> None:
    monkeypatch.setattr("drgn.helpers.linux.mm.totalram_pages", lambda _: 10000)
    monkeypatch.setattr("drgn.helpers.linux.vmstat.nr_free_pages", lambda _: 1000)
    counter: Any = SimpleNamespace(_prog=None, page_size=4096, _count=None)
    counter._count = lambda *names: (COUNTS.get(names[0], 0), ())
    assert _Counter.pages(counter, 0, in_caches).unaccounted == unaccounted
