"""What a lookup in a tree can have returned, on code and memory made by hand."""

from __future__ import annotations

from handmade_machine import BAD, OBJECT, TEXT, Machine, trace, ways

from oopsight.evidence.flow.lookups import entries, is_lookup

TREE, NODE, BELOW = 0xFFFFC90003500000, 0xFFFFC90003600000, 0xFFFFC90003700000
# f0: push rbx; mov rdi,rbx; call f1; mov rax,[rax+0x28]; mov ecx,[rax]   f1: ret
USE = "53 4889df e8f70f0000 488b4028 8b08"


class Trees(Machine):
    """Nodes are read as a whole: what is not among the words is zero."""

    def read(self, address: int, size: int) -> bytes | None:
        if size <= 8 or not TREE <= address < TEXT:
            return super().read(address, size)
        words = (self.words.get(at, 0) for at in range(address, address + size, 8))
        return b"".join(word.to_bytes(8, "little") for word in words)


def node(machine: Machine, at: int, *slots: int) -> int:
    machine.words |= {at + 16: TREE} | {at + 40 + 8 * n: slot for n, slot in enumerate(slots)}
    return at + 2


def test_the_entries_of_a_tree_of_nodes() -> None:
    machine = Trees("c3")
    one, two = OBJECT, OBJECT + 0x100
    # A number (its lowest bit is set) and a sign of the tree's own are no pointers.
    below = node(machine, BELOW, two, 0x15, 0x406)
    machine.words[TREE + 8] = node(machine, NODE, one, below)
    assert sorted(entries(machine, TREE) or []) == [one, two]
    machine.words[BELOW + 16] = TREE + 8
    assert entries(machine, TREE) is None  # another tree's node
    assert entries(machine, TREE + 0x800) is None


def test_a_tree_of_one_entry_or_none_has_no_nodes() -> None:
    machine = Machine("c3")
    machine.words[TREE + 8] = OBJECT
    assert entries(machine, TREE) == [OBJECT]
    machine.words[TREE + 8] = 0
    assert entries(machine, TREE) == []


def test_which_functions_look_up() -> None:
    assert is_lookup("idr_find")
    assert not is_lookup("idr_alloc")


def looked_up(*holding: int) -> tuple[list[str], int | None]:
    """The way of a bad value that was read through what ``idr_find()`` had returned."""
    machine = Trees(USE, "c3")
    machine.names[1] = "idr_find"
    found = [OBJECT + 0x100 * number for number in range(4)]
    machine.words[TREE + 8] = node(machine, NODE, *found)
    for number, entry in enumerate(found):
        machine.words[entry + 0x28] = BAD if number in holding else OBJECT
    moves = trace(machine, "rax", 13, rax=BAD, rbx=TREE)
    return ways(moves), moves[-1].address


def test_the_entry_that_holds_the_bad_value_was_found() -> None:
    assert looked_up(2) == (["loaded"], OBJECT + 0x228)


def test_of_several_nothing_tells_which_was_found() -> None:
    assert looked_up(1, 2) == (["loaded"], None)
    assert looked_up() == (["loaded"], None)
