from __future__ import annotations

from dataclasses import replace

import pytest
from handmade_facts import (
    ABSENT,
    backtrace,
    data_flow,
    fault,
    flow_step,
    frame,
    overrun,
    owner,
    slab_object,
    users,
    way,
)

from oopsight.diagnosis import Certainty, Clear, Finding
from oopsight.diagnosis.rules.heap_overflow import heap_overflow
from oopsight.evidence import Address
from oopsight.evidence.corruption.beyond_table import BeyondTable
from oopsight.evidence.corruption.byte_before import ByteBefore
from oopsight.evidence.corruption.neighbour_stores import NeighbourStore, NeighbourStores
from oopsight.evidence.corruption.past_area import Bound, PastArea
from oopsight.evidence.corruption.small_allocations import SmallAllocation, SmallAllocations
from oopsight.evidence.corruption.terminators import Terminators
from oopsight.evidence.corruption.text_writers import TextWriters
from oopsight.evidence.corruption.told_sizes import Told, ToldSizes
from oopsight.evidence.corruption.writer_limits import Teller, WriterLimit, WriterLimits
from oopsight.evidence.corruption.writers import Writer
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.memory.owner import SlabObject
from oopsight.evidence.modules.footprints import Footprint, Footprints
from oopsight.evidence.pointers import BytesPointer, InstructionPointer, ModulePointer

TEXT = 0x61622D7265707075
FLOW = data_flow(way(flow_step("loaded", "run_timers", TEXT)), bad=owner(TEXT, "non-canonical"))
MORE = (ABSENT,) * 8
"""Stores by an index, or of a byte, from the object beside it."""


def test_what_runs_over_a_pointer_within_one_object_may_be_its_owner_s_own() -> None:
    within = replace(overrun(), within=True)
    made = replace(users(slab_object()), question="overrun", overrun=within)
    answer = heap_overflow(
        fault(None), backtrace(), FLOW, made, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, *MORE
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    assert answer.cause_certainty is None


def test_the_module_that_owns_the_first_object_is_blamed() -> None:
    made = replace(users(slab_object()), question="overrun", overrun=overrun())
    answer = heap_overflow(
        fault(None), backtrace(), FLOW, made, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, *MORE
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.INFERRED
    assert (answer.culprits[0].module, answer.culprits[0].function) == ("mod", "mod_copy")
    assert "upper-ba" in " ".join(step.claim for step in answer.chain)


@pytest.mark.parametrize(("writes", "summary"), [(("mod_copy",), "mod_copy"), ((), "too small")])
def test_another_module_may_have_been_handed_the_object(
    writes: tuple[str, ...], summary: str
) -> None:
    made = replace(users(slab_object()), question="overrun", overrun=overrun())
    use = replace(made.modules[0], writes=writes, uses=(), lends=("mod_ask",))
    made = replace(made, modules=(use,))
    answer = heap_overflow(
        fault(None), backtrace(), FLOW, made, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, *MORE
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    assert [one.function for one in answer.culprits] == [*writes, "mod_ask"]
    assert summary in answer.summary


def test_the_guard_page_of_a_vmalloc_area_is_an_overflow() -> None:
    at = 0xFFFFC90000405000
    flow = data_flow(way(flow_step("loaded", "copy", at)), bad=owner(at, "vmalloc"))
    answer = heap_overflow(
        fault(at), backtrace(), flow, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, *MORE
    )
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "f"


def past_an_area(
    maker: str | None, module: str | None, *, told: bool = True, one: SlabObject | None = None
) -> Finding:
    at = 0xFFFFC90000405000
    flow = data_flow(way(flow_step("loaded", "fill", at)), bad=owner(at, "vmalloc"))
    trace = replace(backtrace(), frames=(frame(0, "fb_fill", Role.FAULT, "fb"),))
    read = InstructionPointer(Address(0xFFFFFFFFC0400010), "8b4708", "mov eax, dword ptr [rdi + 8]")
    past = PastArea(maker, module, "fb_fill", "fb", Bound("fb_fill", read) if told else None)
    past = replace(past, object=one)
    answer = heap_overflow(
        fault(at), trace, flow, ABSENT, ABSENT, ABSENT, ABSENT, past, ABSENT, *MORE
    )
    assert isinstance(answer, Finding)
    return answer


@pytest.mark.parametrize(
    ("maker", "module", "told", "first", "certainty"),
    [
        # As far as fields told it, which may tell more than was allocated.
        ("fb_resize", "fb", True, "fb_resize", Certainty.POSSIBLE),
        # As far as its caller told it.
        ("fb_resize", "fb", False, "fb_fill", Certainty.POSSIBLE),
        # Another module's memory.
        ("pool_get", "pool", True, "fb_fill", Certainty.POSSIBLE),
        # Its own.
        ("fb_fill", "fb", True, "fb_fill", Certainty.SHOWN),
        # The kernel's, as large as another of the module's functions may have told it.
        ("dev_ethtool", None, True, "fb_fill", Certainty.POSSIBLE),
        ("dev_ethtool", None, False, "fb_fill", Certainty.POSSIBLE),
        # Perhaps that of an initialisation function.
        (None, None, True, "fb_fill", Certainty.POSSIBLE),
        (None, None, False, "fb_fill", Certainty.SHOWN),
    ],
)
def test_an_area_may_be_too_small_for_what_fields_tell(
    maker: str | None, module: str | None, told: bool, first: str, certainty: Certainty
) -> None:
    answer = past_an_area(maker, module, told=told)
    assert answer.culprits[0].function == first
    assert answer.certainty is certainty
    assert answer.cause_certainty in (None, Certainty.SHOWN)
    assert ("from memory alone" in answer.chain[-2].claim + answer.chain[-1].claim) is told


def test_an_object_may_be_too_small_for_what_fields_tell() -> None:
    answer = past_an_area("fb_resize", "fb", one=slab_object())
    assert answer.culprits[0].function == "fb_resize"
    assert answer.title.startswith("access past the end of an object of ")
    assert (answer.certainty, answer.cause_certainty) == (Certainty.POSSIBLE, None)
    assert past_an_area(None, None, told=False, one=slab_object()).certainty is Certainty.POSSIBLE


def test_who_told_the_kernel_a_number_comes_next() -> None:
    at = 0xFFFFC90000405000
    flow = data_flow(way(flow_step("loaded", "names", at)), bad=owner(at, "vmalloc"))
    trace = replace(backtrace(), frames=(frame(0, "nic_names", Role.FAULT, "nic"),))
    past = PastArea("dev_ethtool", None, "nic_names", "nic", None, ("nic_count",))
    answer = heap_overflow(
        fault(at), trace, flow, ABSENT, ABSENT, ABSENT, ABSENT, past, ABSENT, *MORE
    )
    assert isinstance(answer, Finding)
    assert [c.function for c in answer.culprits[:2]] == ["nic_names", "nic_count"]
    assert answer.certainty is Certainty.POSSIBLE
    # It read none of the fields that told how far to go.
    past = replace(past, unaware=("nic_count",))
    answer = heap_overflow(
        fault(at), trace, flow, ABSENT, ABSENT, ABSENT, ABSENT, past, ABSENT, *MORE
    )
    assert isinstance(answer, Finding)
    assert [c.function for c in answer.culprits[:2]] == ["nic_count", "nic_names"]
    assert "nic_names" in answer.title


def test_an_index_out_of_a_table_that_was_replaced() -> None:
    at = 0xFFFFC90000405008
    step = flow_step("loaded", "ring_put", 0x700)
    flow = data_flow(way(step, name="ring.at"), bad=owner(at, "stack"), subject="index")
    trace = replace(backtrace(), frames=(frame(0, "ring_put", Role.FAULT, "ring"),))
    table = owner(at - 0x10000, "vmalloc", mapped=True)
    for bounded, first in ((True, "ring_resize"), (False, "ring_put")):
        beyond = BeyondTable(table, 0x8000, None, ("ring_resize",), bounded=bounded)
        answer = heap_overflow(
            replace(fault(at), access="write"),
            trace,
            flow,
            *[ABSENT] * 6,
            *MORE[:4],
            beyond,
            *MORE[5:],
        )
        assert isinstance(answer, Finding)
        assert answer.culprits[0].function == first
        assert answer.certainty is Certainty.POSSIBLE
        assert "32768 bytes behind its end" in answer.chain[-1].claim
    # A loop that ran into the page behind the table is looked at otherwise.
    near = BeyondTable(table, 8, None, (), bounded=False)
    other = heap_overflow(
        replace(fault(at), access="write"), trace, flow, *[ABSENT] * 6, *MORE[:4], near, *MORE[5:]
    )
    assert isinstance(other, Clear)


def test_who_told_the_kernel_that_a_text_is_longer_than_it_is() -> None:
    record = BytesPointer(Address(0xFFFFFFFFC0402008), "00" * 8)
    told = Told(
        "sysctl '/proc/sys/sign/text'", Address(0xFFFF888000040000), 193, record.address, ()
    )
    for functions, first in ((("sign_describe",), "sign_describe"), ((), None)):
        sizes = ToldSizes(told, "sign", record, functions)
        answer = heap_overflow(
            fault(None), backtrace(), FLOW, *[ABSENT] * 6, *MORE[:5], sizes, *MORE[6:]
        )
        assert isinstance(answer, Finding)
        assert (answer.culprits[0].module, answer.culprits[0].function) == ("sign", first)
        assert answer.certainty is Certainty.POSSIBLE
        assert answer.cause_certainty is Certainty.INFERRED


def test_a_mapped_area_and_other_pointers_are_clear() -> None:
    at = 0xFFFFC90000405000
    mapped = data_flow(way(flow_step("loaded", "c", at)), bad=owner(at, "vmalloc", mapped=True))
    assert isinstance(
        heap_overflow(
            fault(at), backtrace(), mapped, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, *MORE
        ),
        Clear,
    )
    assert isinstance(
        heap_overflow(
            fault(None), backtrace(), FLOW, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, *MORE
        ),
        Clear,
    )


def test_of_writers_alike_who_is_known_to_have_run_comes_first() -> None:
    made = replace(users(slab_object()), question="overrun", overrun=overrun())
    writes = ("mod_format", "mod_rename", "mod_copy")
    use = replace(made.modules[0], writes=writes, ranks=(0, 0, 2))
    stale = BytesPointer(Address(0xFFFFC90000003000), "00" * 8)
    found = tuple(
        Footprint(name, called, "the stack of modd (7)", stale)
        for name, called in (("mod_write", "mod_rename"), ("mod_copy", "strscpy"))
    )
    answer = heap_overflow(
        fault(None),
        backtrace(),
        FLOW,
        replace(made, modules=(use,)),
        ABSENT,
        ABSENT,
        Footprints("mod", found),
        ABSENT,
        ABSENT,
        *MORE,
    )
    assert isinstance(answer, Finding)
    assert answer.certainty is Certainty.POSSIBLE
    names = [culprit.function for culprit in answer.culprits]
    assert names == ["mod_rename", "mod_format", "mod_copy"]
    assert "mod_write's call of mod_rename" in answer.chain[-1].claim


def blamed(limit: WriterLimit, *makers: str, cache: str = "kmalloc-64") -> tuple[list[str], bool]:
    """Who is blamed for 40 bytes that ``mod_copy`` wrote, and whether that is sure."""
    run = replace(overrun(), before=slab_object(cache=cache))
    made = replace(users(slab_object()), question="overrun", overrun=run)
    limits = WriterLimits("mod", (limit,), makers)
    answer = heap_overflow(
        fault(None), backtrace(), FLOW, made, ABSENT, ABSENT, ABSENT, ABSENT, limits, *MORE
    )
    assert isinstance(answer, Finding)
    names = [culprit.function for culprit in answer.culprits]
    return names, answer.certainty is Certainty.INFERRED


def test_a_caller_that_allows_too_much_comes_before_the_writer() -> None:
    tellers = (Teller("mod_icon", 8), Teller("mod_passes", None), Teller("mod_title", 64))
    limit = WriterLimit("mod_copy", by_memory=False, tellers=tellers)
    assert blamed(limit) == (["mod_title", "mod_copy", "mod_passes"], False)
    handed = Teller("mod_ioctl", None, hands_on=True)
    assert blamed(replace(limit, tellers=(handed,))) == (["mod_copy", "mod_ioctl"], True)
    # What is let pass counts as what is told.
    lets_pass = Teller("mod_store", 64, compared=True)
    assert blamed(replace(limit, tellers=(lets_pass,))) == (["mod_store", "mod_copy"], False)
    # A loop that writes one more than it was told is wrong whatever that is.
    one_more = replace(limit, tellers=(lets_pass,), one_more=True)
    assert blamed(one_more) == (["mod_copy", "mod_store"], False)
    # Nobody allowed it so much.
    assert blamed(replace(limit, tellers=tellers[:1])) == (["mod_copy"], True)


def test_who_computes_sizes_comes_before_who_goes_by_fields() -> None:
    limit = WriterLimit("mod_copy", by_memory=True, tellers=())
    assert blamed(limit, "mod_new", "mod_copy") == (["mod_new", "mod_copy"], False)
    # Who set the numbers is not seen; or it is, and comes first.
    assert blamed(limit) == (["mod_copy"], False)
    set_by = replace(limit, set_by=("mod_scale",))
    assert blamed(set_by) == (["mod_scale", "mod_copy"], False)
    # The objects of a cache have one size.
    assert blamed(limit, "mod_new", cache="mod_object") == (["mod_copy"], True)
    assert blamed(replace(limit, by_memory=False), "mod_new") == (["mod_copy"], True)
    # Of those who set it, who allocates by it as well.
    both = replace(limit, set_by=("mod_scale", "mod_new"))
    assert blamed(both, "mod_new")[0] == ["mod_new", "mod_scale", "mod_copy"]


BANK = ModulePointer("bank", loaded=True, base=Address(0xFFFFFFFFC0000000))
MEMORY = BytesPointer(slab_object().address, "00" * 8)


def test_who_stores_by_an_index_into_the_object_before() -> None:
    store = NeighbourStore(BANK, "bank_switch", 15, "one too many")
    stores = NeighbourStores(slab_object(), slab_object(), MEMORY, (store,))
    rest = (ABSENT,) * 5
    answer = heap_overflow(fault(None), backtrace(), FLOW, ABSENT, *rest, stores, *MORE[1:])
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "bank_switch"
    assert answer.certainty is Certainty.POSSIBLE
    assert "as large as 15" in answer.chain[-1].claim
    assert "wild_pointer" in answer.refines
    assert "bit_flip" not in answer.refines
    bit = replace(stores, stores=(replace(store, how="a bit"),))
    answer = heap_overflow(fault(None), backtrace(), FLOW, ABSENT, *rest, bit, *MORE[1:])
    assert isinstance(answer, Finding)
    assert "bit_flip" in answer.refines


def test_who_stores_a_byte_before_the_object_behind() -> None:
    writer = Writer(BANK, "bank_trim")
    before = ByteBefore(slab_object(), slab_object(), MEMORY, 0, (writer,))
    answer = heap_overflow(
        fault(None), backtrace(), FLOW, ABSENT, *(ABSENT,) * 5, ABSENT, before, *MORE[2:]
    )
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "bank_trim"
    assert answer.certainty is Certainty.POSSIBLE


def test_who_ends_a_text_behind_its_memory() -> None:
    writer = Writer(BANK, "bank_copy")
    ends = Terminators(slab_object(), slab_object(), MEMORY, (writer,))
    more = (ABSENT, ABSENT, ends, *MORE[3:])
    answer = heap_overflow(fault(None), backtrace(), FLOW, ABSENT, *(ABSENT,) * 5, *more)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "bank_copy"
    assert answer.certainty is Certainty.POSSIBLE
    assert "null_dereference" in answer.refines


@pytest.mark.parametrize(
    ("constant", "shared", "first", "certainty"),
    [
        (False, False, "mod_copy", Certainty.INFERRED),
        (True, False, "mod_copy", Certainty.POSSIBLE),
        # Others of its module go as far.
        (True, True, "mod_open", Certainty.POSSIBLE),
    ],
)
def test_a_writer_with_its_limit_in_its_code_is_weighed_against_who_allocates(
    constant: bool, shared: bool, first: str, certainty: Certainty
) -> None:
    made = replace(users(slab_object()), question="overrun", overrun=overrun())
    limit = WriterLimit("mod_copy", by_memory=False, tellers=(), constant=constant, shared=shared)
    limits = WriterLimits("mod", (limit,), (), ("mod_open",))
    answer = heap_overflow(
        fault(None), backtrace(), FLOW, made, ABSENT, ABSENT, ABSENT, ABSENT, limits, *MORE
    )
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == first
    assert answer.certainty is certainty


def test_a_text_in_a_module_s_data() -> None:
    run = BytesPointer(Address(0xFFFFFFFFC0400800), b"the-large-meeting-room".hex())
    writers = TextWriters("ge-meeti", BANK, ("bank_rename",), run)
    answer = heap_overflow(
        fault(None), backtrace(), FLOW, *[ABSENT] * 6, *MORE[:6], writers, ABSENT
    )
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "bank_rename"
    assert "the-large-meeting-room" in answer.chain[-1].claim
    kept = replace(writers, run=None)
    other = heap_overflow(fault(None), backtrace(), FLOW, *[ABSENT] * 6, *MORE[:6], kept, ABSENT)
    assert isinstance(other, Clear)


def test_who_uses_more_than_it_allocates() -> None:
    for by, first in (((), "bank_add"), (("bank_init",), "bank_init")):
        small = SmallAllocations(BANK, slab_object(), (SmallAllocation("bank_add", 40, 100, by),))
        answer = heap_overflow(fault(None), backtrace(), FLOW, *[ABSENT] * 6, *MORE[:7], small)
        assert isinstance(answer, Finding)
        assert answer.culprits[0].function == first
        assert "100 of them" in answer.chain[-1].claim


def test_who_reckons_with_smaller_elements_than_others_use() -> None:
    small = SmallAllocations(
        BANK, slab_object(), (SmallAllocation("bank_reserve", 8, 24, (), "bank_put"),)
    )
    answer = heap_overflow(fault(None), backtrace(), FLOW, *[ABSENT] * 6, *MORE[:7], small)
    assert isinstance(answer, Finding)
    assert answer.culprits[0].function == "bank_reserve"
    assert "8 bytes for each element" in answer.summary
    assert answer.certainty is Certainty.POSSIBLE
