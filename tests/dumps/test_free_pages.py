"""Of the free pages, makedumpfile's level 16 leaves out those of the buddy allocator alone."""

from __future__ import annotations

from itertools import islice

from drgn import FaultError, Program
from lab_dumps import Maker, opened

from oopsight.kernel.free_pages import LEVEL, for_each_free_page

MOST = 2000


def readable(prog: Program, address: int) -> bool:
    try:
        return len(prog.read(address, 4096)) == 4096
    except FaultError:
        return False


def test_only_the_pages_on_the_cpus_lists_are_in_the_dump(maker: Maker) -> None:
    session = opened(maker.get(("incident", "6.1", "kdump")))
    prog = session.prog
    assert (session.info.dump_level or 0) & LEVEL
    of_cpus = list(for_each_free_page(prog, MOST, buddy=False))
    everything = list(for_each_free_page(prog, MOST))
    assert of_cpus
    assert everything[: len(of_cpus)] == of_cpus
    assert all(readable(prog, address) for address in of_cpus)
    rest = everything[len(of_cpus) :]
    assert len(rest) > 1000
    assert not any(readable(prog, address) for address in islice(rest, 500))
