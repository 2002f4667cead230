"""The kernel itself, mostly a driver, has used the memory up.

Finds
    A slab cache, a caller of ``vmalloc()``, pages taken outside these, or deleted files in memory
    that nobody has open, which hold most of the memory.

Why it happens
    Objects are allocated and never freed: a missing free on one path, a queue without a limit.

How it is decided
    The kernel panicked for lack of memory, and its largest single holder is in the kernel. Whose it
    is: for ``vmalloc()`` the caller is recorded; a cache is somebody's whose constructor lies in a
    module, or whose address a module's variable holds; of pages the allocator's records tell
    (``page_owner``); of a cache that all share, a sample of its objects is read, and the module
    that most of them point into is suspect. Failing all these, a
    module that was asking for more of the same as the memory ran out is *possible*, and where none
    was, the one from outside the kernel that allocates from the cache, or those that take such
    things at all: packets, pages, directory entries; of packets first the handlers that can return
    without having freed what they got, or hand it to a function that can, and hooks of netfilter
    that say to have stolen what they neither keep nor free.

    Who allocates mostly did not lose it. The module's code is followed from its calls of the
    allocator. First comes, where most objects have what ``list_del()`` leaves, who takes entries
    off a list and frees nothing; then who can return with what it allocated and nobody has; who is
    handed it by its maker and keeps it on some ways only; the callback that frees its object on
    some ways only; the ``release`` that stands beside the allocating ``open`` and frees nothing;
    who stores it over a field without a look at what was there; who frees an array's entries by
    another count than the one they were entered by; who gives back fewer pages than are taken at
    once; who frees an object and not what its field holds. Where most objects are on a list still,
    they are not lost but too many, and who allocates them comes first.

When it is wrong
    A large cache can be in use rather than leaked. Pages that the kernel took one by one have no
    owner unless ``page_owner`` is on. Who asked last need not be who took most. That objects point
    into a module shows that it uses them, not that it allocated them. What a function's code can do
    it need not have done: who did it is *possible* only, but for the one function that cannot but
    lose what the only other one allocates.

Example
    ``capb_snap()`` holds 185 MiB in 393 areas of ``vmalloc()``.

Look next
    ``kmem -s``, ``kmem -v``; booting with ``slub_debug=U`` or ``page_owner=on``.
"""

from __future__ import annotations

from oopsight.diagnosis import Certainty, Clear, Culprit, Depth, Finding, Step, Undecided, absent
from oopsight.diagnosis.exhaustion import MUCH, Share, kernel_share, size, user_pages
from oopsight.diagnosis.lost_track import certainty_of_who, with_losers
from oopsight.diagnosis.places import culprits as blamed
from oopsight.diagnosis.places import suspects, title_of
from oopsight.evidence import Missing
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.exhaustion.allocators import MOST, NEW_SLAB, Allocators
from oopsight.evidence.exhaustion.deleted_files import DeletedFiles
from oopsight.evidence.exhaustion.losers import Losers
from oopsight.evidence.exhaustion.memory_use import CacheUse, MemoryUse, VmallocUse
from oopsight.evidence.exhaustion.packet_handlers import PacketHandler
from oopsight.evidence.exhaustion.page_takers import PageTakers
from oopsight.evidence.exhaustion.takers import Takers
from oopsight.evidence.pointers import Pointer
from oopsight.kinds import Kind
from oopsight.plumbing import base_name

_SHOWN = 4
# Pages that are counted: of files and of processes.
_COUNTED = (
    "filemap_alloc_folio",
    "filemap_alloc_folio_noprof",
    "__page_cache_alloc",
    "page_cache_ra_unbounded",
    "handle_mm_fault",
    "shmem_get_folio_gfp",
)


def oom_by_kernel_leak(
    symptom: Symptom,
    use: MemoryUse | Missing,
    allocators: Allocators | Missing,
    backtrace: Backtrace | Missing,
    takers: Takers | Missing,
    deleted: DeletedFiles | Missing,
    losers: Losers | Missing,
    page_takers: PageTakers | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether one holder in the kernel has the memory."""
    if symptom.kind is not Kind.OOM:
        return Clear(f"memory did not run out; the first report is {symptom.kind}")
    if isinstance(use, Missing):
        return absent(use)
    share, user = kernel_share(use, deleted), user_pages(use, deleted)
    if share.pages <= user or share.pages < MUCH * use.pages.total:
        return Clear(
            f"{size(use, share.pages)} are in {share.what}, {size(use, user)} in processes"
        )
    headline: tuple[Pointer, ...] = (symptom.headline,) if symptom.headline is not None else ()
    steps = [Step("the kernel ran out of memory", headline)] if headline else []
    steps.append(
        Step(
            f"{size(use, share.pages)} are in {share.what}; {size(use, user)} in processes",
            (*use.pages.because, *(share.source.because if share.source is not None else ())),
        )
    )
    proof, culprits, certainty = _whose(use, share, page_takers)
    steps += proof
    if isinstance(share.source, CacheUse) and isinstance(allocators, Allocators) and proof:
        culprits = _allocating(allocators, share.source, culprits)
    if not culprits and isinstance(backtrace, Backtrace):
        asking, culprits = _asking(share, backtrace)
        steps += asking
    if not culprits and isinstance(takers, Takers):
        taking, culprits = _taking(takers)
        steps += taking
    if not culprits and isinstance(share.source, CacheUse) and isinstance(allocators, Allocators):
        alone, culprits = _alone(allocators, share.source)
        steps += alone
    losing, culprits = with_losers(culprits, losers)
    steps += losing
    sure = certainty is not Certainty.POSSIBLE
    who = culprits[0].function or culprits[0].module if culprits else None
    return Finding(
        title=f"out of memory: {size(use, share.pages)} are in {share.what}"
        + (f", of {who}" if who and who not in share.what else ""),
        summary="The kernel itself used the memory up: "
        f"{size(use, share.pages)} are in {share.what}.",
        certainty=certainty_of_who(culprits, losers) if sure else certainty,
        cause_certainty=certainty if sure else None,
        depth=Depth.ROOT_CAUSE,
        chain=tuple(step for step in steps if step.because),
        culprits=culprits,
        advice=("Find out which path does not free what it allocated.",),
    )


def _whose(
    use: MemoryUse, share: Share, page_takers: PageTakers | Missing
) -> tuple[list[Step], tuple[Culprit, ...], Certainty]:
    if isinstance(share.source, VmallocUse):
        return _of_vmalloc(share.source)
    if isinstance(share.source, CacheUse):
        return _of_cache(share.source)
    if share.source is None and isinstance(page_takers, PageTakers):
        return _of_pages(use, share, page_takers)
    return [], (), Certainty.POSSIBLE


def _allocating(
    allocators: Allocators, cache: CacheUse, culprits: tuple[Culprit, ...]
) -> tuple[Culprit, ...]:
    """The functions that allocate from the cache go before those that merely lead to it."""
    found = tuple(
        Culprit(allocators.module, a.function, None, cache.name, f"allocates from it at {a.at}")
        for a in allocators.functions
    )
    return found + culprits


def _alone(allocators: Allocators, cache: CacheUse) -> tuple[list[Step], tuple[Culprit, ...]]:
    """The functions of the only module from outside the kernel that allocate from the cache."""
    if allocators.pointer is None or not allocators.functions:
        return [], ()
    names = ", ".join(one.function for one in allocators.functions[:_SHOWN])
    step = Step(
        f"of the modules from outside the kernel, {allocators.module} allocates from {cache.name}, "
        f"in {names}",
        (allocators.pointer,),
    )
    return [step], _allocating(allocators, cache, ())


def _asking(share: Share, backtrace: Backtrace) -> tuple[list[Step], tuple[Culprit, ...]]:
    """The module that was asking for more of the same as the memory ran out."""
    names = {base_name(frame.function) for frame in backtrace.crash_path}
    slab = not names.isdisjoint(NEW_SLAB)
    if slab != isinstance(share.source, CacheUse) or not names.isdisjoint(_COUNTED):
        return [], ()
    frames = [frame for frame in suspects(backtrace) if frame.module]
    if not frames:
        return [], ()
    first = frames[0]
    step = Step(f"{title_of(first)} was asking for more as the memory ran out", (first.pointer,))
    return [step], blamed(frames, "was asking for more of it as the memory ran out")


def _taking(takers: Takers) -> tuple[list[Step], tuple[Culprit, ...]]:
    """The modules from outside the kernel that take such things at all."""
    keep = [one for one in takers.handlers if one.returns_at is not None]
    if keep:
        return _keeping(keep)
    if not takers.functions:
        return _handed(takers.handlers)
    names = ", ".join(f"{one.function} [{one.module.name}]" for one in takers.functions[:_SHOWN])
    step = Step(
        f"of the modules from outside the kernel, these functions take {takers.what}: {names}",
        tuple(one.module for one in takers.functions[:_SHOWN]),
    )
    return [step], tuple(
        Culprit(
            one.module.name,
            one.function,
            None,
            None,
            f"calls {one.calls}(): it takes {takers.what}",
        )
        for one in takers.functions[:_SHOWN]
    )


def _handed(handlers: tuple[PacketHandler, ...]) -> tuple[list[Step], tuple[Culprit, ...]]:
    """The handlers of the only module that the kernel hands packets to."""
    if len({one.module.name for one in handlers}) != 1:
        return [], ()
    names = ", ".join(one.function for one in handlers[:_SHOWN])
    step = Step(
        f"of the modules from outside the kernel, {handlers[0].module.name} is handed packets, by "
        f"{names}",
        tuple(one.slot for one in handlers[:_SHOWN]),
    )
    why = "the kernel hands it packets"
    return [step], tuple(
        Culprit(one.module.name, one.function, None, None, why) for one in handlers[:_SHOWN]
    )


def _keeping(handlers: list[PacketHandler]) -> tuple[list[Step], tuple[Culprit, ...]]:
    """The handlers that do not free every packet."""
    steps = [
        Step(
            f"the kernel hands packets to {one.function} [{one.module.name}], which can return at "
            f"{one.returns_at} without freeing or handing on what it was given, as it does on "
            "other paths",
            (one.slot, one.module),
        )
        for one in handlers[:_SHOWN]
    ]
    return steps, tuple(
        Culprit(
            one.module.name,
            one.function,
            None,
            None,
            f"can return at {one.returns_at} without freeing the packet",
        )
        for one in handlers[:_SHOWN]
    )


def _of_pages(
    use: MemoryUse, share: Share, known: PageTakers
) -> tuple[list[Step], tuple[Culprit, ...], Certainty]:
    """Who has the pages that the kernel took one by one, by the page allocator's own records."""
    for one in known.takers:
        able = one.blamable
        if one.pages < MUCH * share.pages:
            break
        if not able or not {frame.function for frame in one.calls}.isdisjoint(_COUNTED):
            continue
        first = able[0]
        where = f"{first.function} [{first.module}]" if first.module else first.function
        step = Step(f"{where} took {size(use, one.pages)}, by the pages' records", (one.record,))
        why = f"took {one.pages} of the pages, by their records"
        found = [
            Culprit(frame.module, base_name(frame.function), None, None, why)
            for frame in able[:_SHOWN]
            if frame.module == first.module
        ]
        return [step], tuple(found), Certainty.INFERRED
    return [], (), Certainty.POSSIBLE


def _of_vmalloc(use: VmallocUse) -> tuple[list[Step], tuple[Culprit, ...], Certainty]:
    module = use.module.name if use.module is not None else None
    where = f" [{module}]" if module else ""
    step = Step(
        f"{use.function}{where} asked for {use.areas} areas of it",
        (*use.because, *((use.module,) if use.module is not None else ())),
    )
    why = f"asked for {use.areas} areas of vmalloc() that are still there"
    return [step], (Culprit(module, use.function, None, "vmalloc", why),), Certainty.INFERRED


def _of_cache(cache: CacheUse) -> tuple[list[Step], tuple[Culprit, ...], Certainty]:
    steps: list[Step] = []
    culprits: list[Culprit] = []
    if cache.variable is not None and cache.variable_module is not None:
        module = cache.variable_module
        steps.append(
            Step(
                f"{cache.variable.name} of module {module.name} is that cache",
                (cache.variable, module),
            )
        )
        culprits.append(
            Culprit(module.name, None, None, cache.name, "the cache that is full is its own")
        )
    if cache.constructor_module is not None:
        module = cache.constructor_module
        steps.append(
            Step(
                f"its constructor {cache.constructor or ''} lies in module {module.name}", (module,)
            )
        )
        culprits.insert(
            0,
            Culprit(
                module.name,
                cache.constructor,
                None,
                cache.name,
                "made the cache that is full, with this constructor",
            ),
        )
    if culprits:
        return steps, tuple(culprits), Certainty.INFERRED
    hint = cache.hint
    if hint is not None and hint.sampled and hint.objects >= MOST * hint.sampled:
        name = hint.symbol or hint.module.name
        steps.append(
            Step(
                f"{hint.objects} of {hint.sampled} objects sampled point into module "
                f"{hint.module.name}, most to {name}",
                (hint.module,),
            )
        )
        why = f"most objects of {cache.name} point to it"
        function = hint.symbol if hint.function is not None else None
        culprit = Culprit(hint.module.name, function, None, cache.name, why)
        return steps, (culprit,), Certainty.INFERRED
    return steps, (), Certainty.POSSIBLE
