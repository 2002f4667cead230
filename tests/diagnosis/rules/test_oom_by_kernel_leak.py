"""The kernel's own use of memory, and whose it is."""

from __future__ import annotations

from dataclasses import replace

from handmade_exhaustion import CACHE, COUNTER, HINT, MODULE, use
from handmade_facts import ABSENT, backtrace, track
from handmade_waits import symptom

from oopsight.diagnosis import Certainty, Clear, Finding, Undecided
from oopsight.diagnosis.rules.oom_by_kernel_leak import oom_by_kernel_leak
from oopsight.diagnosis.rules.oom_by_userspace import oom_by_userspace
from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Role
from oopsight.evidence.exhaustion.allocators import Allocator, Allocators
from oopsight.evidence.exhaustion.deleted_files import DeletedFiles
from oopsight.evidence.exhaustion.losers import Losers
from oopsight.evidence.exhaustion.loss_signs import Loser
from oopsight.evidence.exhaustion.memory_use import MemoryUse
from oopsight.evidence.exhaustion.packet_handlers import PacketHandler
from oopsight.evidence.exhaustion.page_takers import PageTaker, PageTakers
from oopsight.evidence.exhaustion.takers import Taker, Takers
from oopsight.evidence.pointers import BytesPointer
from oopsight.kinds import Kind

OOM = symptom(Kind.OOM, "ls invoked oom-killer: gfp_mask=0x1100cca")


def with_cache(**changes: object) -> MemoryUse:
    made = use(cache=8000)
    return replace(made, caches=(replace(made.caches[0], **changes),))  # type: ignore[arg-type]


def found_in(memory: MemoryUse) -> Finding:
    found = oom_by_kernel_leak(OOM, memory, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert all(step.because for step in found.chain)
    return found


def test_vmalloc_names_its_caller() -> None:
    found = found_in(use(vmalloc=8000))
    assert [(c.module, c.function) for c in found.culprits] == [("drv", "snap")]
    # It asked for the memory; who lost it is not known.
    assert found.certainty is Certainty.POSSIBLE
    assert found.cause_certainty is Certainty.INFERRED


def test_a_cache_belongs_to_its_constructor_or_to_the_variable_that_holds_it() -> None:
    own = replace(COUNTER, name="sess_cache")
    found = found_in(
        with_cache(
            constructor="sess_construct",
            constructor_module=MODULE,
            variable=own,
            variable_module=MODULE,
        )
    )
    assert found.culprits[0].function == "sess_construct"
    by_variable = found_in(with_cache(variable=own, variable_module=MODULE))
    assert [(c.module, c.function) for c in by_variable.culprits] == [("drv", None)]


def test_a_shared_cache_belongs_to_whom_most_objects_point_to() -> None:
    found = found_in(with_cache(hint=HINT))
    assert [(c.module, c.function) for c in found.culprits] == [("drv", None)]
    code = replace(HINT, function=Address(0xFFFFFFFFC0000100))
    named = found_in(with_cache(hint=code))
    assert [(c.module, c.function) for c in named.culprits] == [("drv", "done")]
    assert named.certainty is Certainty.POSSIBLE
    few = found_in(with_cache(hint=replace(HINT, objects=10)))
    assert few.culprits == ()
    assert few.certainty is Certainty.POSSIBLE


def test_functions_that_allocate_from_it_go_first() -> None:
    allocators = Allocators("drv", (Allocator("send", "send+0x18"),))
    found = oom_by_kernel_leak(
        OOM, with_cache(hint=HINT), allocators, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT
    )
    assert isinstance(found, Finding)
    assert [c.function for c in found.culprits] == ["send", None]


def losing(losers: Losers, memory: MemoryUse) -> Finding:
    allocators = Allocators("drv", (Allocator("send", "send+0x18"),))
    found = oom_by_kernel_leak(OOM, memory, allocators, ABSENT, ABSENT, ABSENT, losers, ABSENT)
    assert isinstance(found, Finding)
    assert all(step.because for step in found.chain)
    return found


LOSERS = Losers(MODULE, (Loser("shut", "frees nothing", always=True),), ("send",), (), linked=False)


def test_who_can_have_lost_it_goes_before_who_allocates_it() -> None:
    found = losing(LOSERS, with_cache(hint=HINT))
    assert [c.function for c in found.culprits] == ["shut", "send", None]
    assert found.certainty is Certainty.INFERRED
    others = losing(replace(LOSERS, frees=("trim",)), with_cache(hint=HINT))
    assert [c.function for c in others.culprits] == ["shut", "send", "trim", None]
    assert others.certainty is Certainty.POSSIBLE
    for unsure in (
        replace(LOSERS, found=(Loser("shut", "can return without freeing it"),)),
        replace(LOSERS, makers=("send", "resend")),
        replace(LOSERS, whole=False),
        replace(LOSERS, found=(*LOSERS.found, Loser("stop", "frees nothing", always=True))),
    ):
        assert losing(unsure, with_cache(hint=HINT)).certainty is Certainty.POSSIBLE


def test_what_is_on_a_list_still_is_not_lost() -> None:
    found = losing(replace(LOSERS, linked=True), with_cache(hint=HINT))
    assert found.culprits[0].function == "send"
    assert found.certainty is Certainty.POSSIBLE


def test_losers_of_another_module_are_passed_over() -> None:
    other = replace(LOSERS, module=replace(MODULE, name="other"))
    assert losing(other, with_cache(hint=HINT)).culprits[0].function == "send"


def test_pages_taken_one_by_one_have_no_owner() -> None:
    found = found_in(use(unaccounted=8000))
    assert found.culprits == ()
    assert found.certainty is Certainty.POSSIBLE


def taken(pages: int, *functions: str) -> PageTaker:
    calls = (track("allocated", name, "drv").calls[0] for name in functions)
    return PageTaker(pages, tuple(calls), BytesPointer(Address(0xFFFF888000100000), "00" * 8))


def of_pages(*takers: PageTaker) -> Finding:
    known = PageTakers(takers, 10_000)
    memory = use(unaccounted=8000)
    found = oom_by_kernel_leak(OOM, memory, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, known)
    assert isinstance(found, Finding)
    return found


def test_the_pages_own_records_tell_who_took_them() -> None:
    found = of_pages(taken(6000, "drv_fill", "drv_open"), taken(100, "drv_log"))
    assert [one.function for one in found.culprits] == ["drv_fill", "drv_open"]
    assert found.cause_certainty is Certainty.INFERRED
    assert "drv_fill [drv] took" in found.chain[-1].claim
    # Nobody has much of it; or what a file's or a process's page is, which is counted elsewhere.
    assert of_pages(taken(1000, "drv_fill")).culprits == ()
    assert of_pages(taken(6000, "filemap_alloc_folio", "drv_fill")).culprits == ()


def test_clear_and_undecided() -> None:
    assert isinstance(
        oom_by_kernel_leak(
            symptom(Kind.BUG), ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT
        ),
        Clear,
    )
    assert isinstance(
        oom_by_kernel_leak(OOM, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT), Undecided
    )
    assert isinstance(
        oom_by_kernel_leak(OOM, use(hog=8000), ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT),
        Clear,
    )
    assert isinstance(
        oom_by_kernel_leak(OOM, use(cache=1000), ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT),
        Clear,
    )


def asking(memory: MemoryUse, *names: str) -> Finding:
    path = backtrace(
        interrupted=False, **dict.fromkeys((*names, "tap_make", "kthread"), Role.CALLER)
    )
    frames = tuple(
        replace(f, module="udptap" if f.function == "tap_make" else None) for f in path.frames
    )
    found = oom_by_kernel_leak(
        OOM, memory, ABSENT, replace(path, frames=frames), ABSENT, ABSENT, ABSENT, ABSENT
    )
    assert isinstance(found, Finding)
    return found


def test_who_was_asking_for_more_of_the_same_is_possible() -> None:
    found = asking(with_cache(), "allocate_slab")
    assert [(c.module, c.function) for c in found.culprits] == [("udptap", "tap_make")]
    assert found.certainty is Certainty.POSSIBLE
    assert asking(use(unaccounted=8000), "alloc_pages").culprits[0].module == "udptap"


def test_who_was_asking_for_something_else_is_not() -> None:
    assert asking(with_cache(), "alloc_pages").culprits == ()
    assert asking(use(unaccounted=8000), "allocate_slab").culprits == ()
    assert asking(use(unaccounted=8000), "alloc_pages", "filemap_alloc_folio").culprits == ()


def test_who_is_known_to_have_it_goes_before_who_asks() -> None:
    found = asking(with_cache(hint=HINT), "allocate_slab")
    assert [c.module for c in found.culprits] == ["drv"]


def test_who_takes_such_things_at_all_is_possible_where_nothing_else_is_known() -> None:
    packets = Takers("packets", (Taker(MODULE, "drv_hook", "skb_copy"),))
    memory = use(cache=4000)
    found = oom_by_kernel_leak(OOM, memory, ABSENT, ABSENT, packets, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [(c.module, c.function) for c in found.culprits] == [("drv", "drv_hook")]
    assert found.certainty is Certainty.POSSIBLE
    keeps = PacketHandler(MODULE, "drv_rcv", memory.caches[0].because[0], "drv_rcv+0x3f")
    frees = replace(keeps, function="drv_tap", returns_at=None)
    handed = oom_by_kernel_leak(
        OOM,
        memory,
        ABSENT,
        ABSENT,
        replace(packets, handlers=(keeps, frees)),
        ABSENT,
        ABSENT,
        ABSENT,
    )
    assert isinstance(handed, Finding)
    assert [one.function for one in handed.culprits] == ["drv_rcv"]
    assert handed.certainty is Certainty.POSSIBLE
    alone = Takers("packets", (), (frees,))
    given = oom_by_kernel_leak(OOM, memory, ABSENT, ABSENT, alone, ABSENT, ABSENT, ABSENT)
    assert isinstance(given, Finding)
    assert [one.function for one in given.culprits] == ["drv_tap"]
    others = replace(frees, module=replace(MODULE, name="other"))
    either = replace(alone, handlers=(frees, others))
    unknown = oom_by_kernel_leak(OOM, memory, ABSENT, ABSENT, either, ABSENT, ABSENT, ABSENT)
    assert isinstance(unknown, Finding)
    assert unknown.culprits == ()
    nobody = oom_by_kernel_leak(
        OOM, memory, ABSENT, ABSENT, Takers("packets", ()), ABSENT, ABSENT, ABSENT
    )
    assert isinstance(nobody, Finding)
    assert nobody.culprits == ()


def test_deleted_files_that_nobody_has_open_are_the_kernels() -> None:
    held = DeletedFiles(40, 6000, (CACHE.because[0],))
    memory = use(shmem=6000)
    found = oom_by_kernel_leak(OOM, memory, ABSENT, ABSENT, ABSENT, held, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert "40 deleted files" in found.title
    assert isinstance(oom_by_userspace(OOM, memory, ABSENT, held), Clear)
    assert isinstance(
        oom_by_kernel_leak(OOM, memory, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT), Clear
    )


def test_who_alone_allocates_from_it_is_possible() -> None:
    alone = Allocators("drv", (Allocator("send", "send+0x18"),), pointer=MODULE, sure=False)
    found = oom_by_kernel_leak(OOM, with_cache(), alone, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT)
    assert isinstance(found, Finding)
    assert [(c.module, c.function) for c in found.culprits] == [("drv", "send")]
    assert found.certainty is Certainty.POSSIBLE
    assert MODULE in found.chain[-1].because
