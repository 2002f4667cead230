"""Recursion round a ring: told by what the calls saved, and by the code that sets the link."""

from __future__ import annotations

import pytest
from handmade_code import NAMES, START, function, linked
from handmade_facts import frame

from oopsight.cheap import replace
from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.crash.repeated_calls import Repeated, repeated
from oopsight.evidence.crash.ring_links import Ring
from oopsight.evidence.crash.ring_of_calls import Setter, rings_on, setters
from oopsight.kernel.code_locks import Function

STACK = 0xFFFFC90000001000
CLOCKS = tuple(0xFFFF888000001000 + 0x40 * n for n in range(3))
PARENT = 8
TURNS = 20
SIZE = 24


def memory(clocks: tuple[int, ...], link: int = PARENT) -> dict[int, int]:
    """Frames of a saved clock, a count and a return address; each clock's parent is the next."""
    words = {}
    for turn in range(TURNS):
        at = STACK + turn * SIZE
        # Further out are the calls that came first.
        words[at] = clocks[-turn % len(clocks)]
        words[at + 8] = TURNS - turn
        words[at + 16] = START
    for number, clock in enumerate(clocks):
        words[clock + link] = clocks[(number + 1) % len(clocks)]
    return words


def rings(words: dict[int, int]) -> list[Ring]:
    def read(address: int, size: int) -> bytes | None:
        known = (words.get(address + at, 0) for at in range(0, size, 8))
        return b"".join(one.to_bytes(8, "little") for one in known)

    return list(rings_on(Repeated((), TURNS + 2, SIZE, STACK), read))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_objects_that_come_again_and_lead_to_each_other(count: int) -> None:
    (ring,) = rings(memory(CLOCKS[:count]))
    assert (set(ring.objects), ring.field) == (set(CLOCKS[:count]), PARENT)
    assert len(ring.links) == count


def test_the_link_may_lead_to_a_member() -> None:
    words = memory(CLOCKS)
    words |= {clock + PARENT: words[clock + PARENT] + 0x18 for clock in CLOCKS}
    (ring,) = rings(words)
    assert ring.field == PARENT


def test_what_comes_again_and_leads_nowhere_is_no_ring() -> None:
    words = memory(CLOCKS)
    del words[CLOCKS[1] + PARENT]
    assert not rings(words)
    # A list's head that is empty leads to itself, but is not what the calls go on to.
    alone = memory(CLOCKS[:1])
    alone[CLOCKS[0] + PARENT] = CLOCKS[0] + PARENT
    assert not rings(alone)


RING = Ring(CLOCKS, PARENT, ())
KINDS = [{(PARENT, 8), (0x10, 8), (0x18, 8)}]
PLAIN = "48837f1000 7504 48897708 c3"  # if (!clk->fixed) clk->parent = parent
CHECKED = "4839f7 740b 48837f1000 7504 48897708 c3"  # and if (clk != parent)
ABOVE = "48397e08 740b 48837f1000 7504 48897708 c3"  # and if (parent->parent != clk)
# for (at = parent; at; at = at->parent) if (at == clk) return; clk->parent = parent
LOOKS = "48837f1000 4889f0 4885c0 740b 4839f8 740b 488b4008 ebf0 90 48897708 c3"
# list_add(&entry->sibling, &to->children) of an entry and a menu of a table
LISTED = "488b043500000000 488b1c3d00000000 4839d8 7410 488d5010 48895018 488913 c3"


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ((PLAIN,), [Setter("set", compares=False)]),
        ((CHECKED,), [Setter("set", compares=True)]),
        ((ABOVE,), [Setter("set", compares=True)]),
        ((LOOKS,), [Setter("set", compares=True)]),
        (("48837f1000 48c7470800000000 c3",), []),  # no parent
        (("48897708 c3",), []),  # the object may be of any kind
        (("53 4889fb", "call kmalloc_trace", "48895808 48895810 5b c3"), []),  # it is new
    ],
    ids=["plain", "checked", "above", "looks", "none", "any", "new"],
)
def test_who_sets_the_link(code: tuple[str, ...], found: list[Setter]) -> None:
    assert setters({"set": function(*code)}, RING, KINDS, NAMES.get) == found


def test_where_nothing_else_is_read_of_them_the_link_has_to_do() -> None:
    # Of its kind only another member is used than by the code that goes along.
    other = "48c7472800000000 48897708 c3"  # clk->rate = 0; clk->parent = parent
    assert setters({"set": function(other)}, RING, KINDS, NAMES.get) == []
    found = setters({"set": function(other)}, RING, None, NAMES.get)
    assert found == [Setter("set", compares=False)]
    assert setters({"set": function("48897708 c3")}, RING, None, NAMES.get) == []


def test_who_links_an_entry_into_anothers_list() -> None:
    children = Ring(CLOCKS, 0x10, ())
    found = setters({"move": function(LISTED)}, children, [{(0x10, 8), (0x20, 4)}], NAMES.get)
    assert found == [Setter("move", compares=True)]
    assert not setters({"move": function(LISTED)}, RING, KINDS, NAMES.get)


def test_who_puts_the_number_of_another_into_an_array() -> None:
    # if (part == part_of) return; part_of->includes[part_of->count] = id
    code = {"include": function("4839f7 7407 8b4704 89548708 c3")}
    ring = Ring(CLOCKS, 8, (), size=4)
    kinds = [{(4, 4), (8, 4)}]
    assert setters(code, ring, kinds, NAMES.get) == [Setter("include", compares=True)]
    assert setters(code, ring._replace(field=0x18), kinds, NAMES.get) == []


def test_who_looks_before_it_calls_the_one_that_sets_the_link() -> None:
    starts = {"set": START, "adopt": START + 0x40}
    code = linked(starts, set=PLAIN, adopt="4839f7 7405; call set; c3")
    found = setters(code, RING, KINDS, NAMES.get)
    assert found == [Setter("set", compares=False), Setter("adopt", compares=True)]


def test_who_goes_along_the_chain_before_comes_last() -> None:
    careful = Function(bytes.fromhex(LOOKS), START + 0x400, NAMES.get)
    code = {"careful": careful, "set": function(PLAIN)}
    assert [one.name for one in setters(code, RING, KINDS, NAMES.get)] == ["set", "careful"]


def test_calls_that_repeat() -> None:
    sps = [STACK, *(STACK + 24 * n + 8 for n in range(1, 6))]
    rows = [replace(frame(n, "rate", Role.CALLER), sp=Address(sp)) for n, sp in enumerate(sps)]
    rows.append(replace(frame(6, "write", Role.CALLER), sp=Address(STACK + 200)))
    found = repeated(rows)
    assert found is not None
    # The innermost call had not saved all of it yet.
    assert (found.times, found.size, found.sp) == (6, 24, STACK + 32)
    assert repeated(rows[:2]) is None


def test_who_puts_an_index_into_an_entry_of_a_table() -> None:
    table = Ring(CLOCKS, 0, (), size=1, stride=0x40)
    # mov [rdi],sil; mov byte ptr [rdi+1],1; ret
    setting = {"set": function("408837 c6470101 c3")}
    assert setters(setting, table, [{(0, 1), (2, 2)}], NAMES.get) == [Setter("set", compares=False)]
    # The same of a table at a fixed address: mov [rax*8 + the second entry],sil; ret
    fixed = (CLOCKS[1] & 0xFFFFFFFF).to_bytes(4, "little").hex()
    low = table._replace(objects=tuple(one - (0xFFFF8880 << 32) for one in CLOCKS))
    entry = {"put": function(f"408834c5{fixed} c3")}
    assert setters(entry, low, [{(0, 1), (2, 2)}], NAMES.get) == [Setter("put", compares=False)]
