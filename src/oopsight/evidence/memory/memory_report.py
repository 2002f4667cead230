"""What the kernel's own checks of the heap reported: SLUB (``slub_debug``), KFENCE and KASAN.

Each report names the mistake, and mostly who made the access, who allocated the object and who
freed it. The text is taken as it stands in the log: whatever followed comes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.log import Log
from oopsight.evidence.memory.owner import SlabObject, neighbour, owner_of
from oopsight.evidence.memory.release_function import freeing_jump, release_function
from oopsight.evidence.memory.report_stacks import of_dump, stack_of, with_caller
from oopsight.evidence.memory.slab_tracks import TrackFrame, handed_on, has_red_zones
from oopsight.evidence.modules.module_roles import (
    checked_alone,
    holding_variables,
    inner_functions,
    named,
    writers,
)
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer, LogPointer, Pointer
from oopsight.oops import CrashReport
from oopsight.session import Session


class Mistake(str, Enum):
    """What was reported."""

    DOUBLE_FREE = "double free"
    INVALID_FREE = "invalid free"
    OUT_OF_BOUNDS = "out of bounds"
    """Caught in the act."""
    OVERWRITTEN = "overwritten beside"
    """What lies beside an object was found overwritten."""
    USE_AFTER_FREE = "use after free"
    """Caught in the act."""
    WRITTEN_FREE = "written while free"
    """A free object was found written to."""


_SLUB = re.compile(r"BUG (?P<cache>\S.{0,79}?) ?\((?:Not tainted|Tainted.{0,80}?)\): (?P<what>.+)")
# Since Linux 6.12 the head says "Object corrupt", and lines before it what is overwritten.
_CORRUPT = "Object corrupt"
_BEFORE = re.compile(r"\[(?P<what>[\w ]{3,40} overwritten)\] 0x")
_LINES_BEFORE = 12
_OTHERS = re.compile(r"BUG: (?P<checker>KFENCE|KASAN): (?P<what>.+)")
_MISTAKES: tuple[tuple[str, re.Pattern[str], Mistake], ...] = tuple(
    (checker, re.compile(pattern), mistake)
    for checker, pattern, mistake in (
        # mm/slub.c: free_consistency_checks, check_bytes_and_report, check_object, on_freelist.
        ("SLUB", r"Object already free", Mistake.DOUBLE_FREE),
        ("SLUB", r"Invalid object pointer|Attempt to free object.*outside", Mistake.INVALID_FREE),
        ("SLUB", r"(?:Left |Right |kmalloc )?Red ?zone overwritten", Mistake.OVERWRITTEN),
        ("SLUB", r"(?:Alignment padding|Object padding|Padding) overwritten", Mistake.OVERWRITTEN),
        ("SLUB", r"(?:End )?Poison overwritten", Mistake.WRITTEN_FREE),
        # mm/kfence/report.c
        ("KFENCE", r"out-of-bounds", Mistake.OUT_OF_BOUNDS),
        ("KFENCE", r"use-after-free", Mistake.USE_AFTER_FREE),
        ("KFENCE", r"invalid free", Mistake.INVALID_FREE),
        ("KFENCE", r"memory corruption", Mistake.OVERWRITTEN),
        # mm/kasan/report.c, report_generic.c
        ("KASAN", r"(?:slab-)?use-after-free", Mistake.USE_AFTER_FREE),
        ("KASAN", r"slab-out-of-bounds", Mistake.OUT_OF_BOUNDS),
        ("KASAN", r"(?:double-free or )?invalid-free", Mistake.INVALID_FREE),
        ("KASAN", r"double-free", Mistake.DOUBLE_FREE),
    )
)
# Elsewhere addresses are hashed, and below those of the kernel.
_OBJECT = re.compile(
    r"\b(?:(?:Object|object pointer|free of) 0x|belongs to the object at )"
    r"(?P<address>f[0-9a-f]{15})\b"
)
_CACHE = re.compile(
    r"(?:kfence-#\d+: .{0,80}\bcache=|which belongs to the cache )(?P<cache>\S{1,80})"
)
# "Poison overwritten. 0x... - 0x... @offset=.. First byte 0x.. instead of 0x..", and its like.
_BYTES = re.compile(
    r"0x(?P<start>f[0-9a-f]{15})-0x(?P<last>f[0-9a-f]{15}).{0,40}"
    r"First byte 0x(?P<byte>[0-9a-f]{1,2})"
)
_LINES = 96
"""Of a report, in which what is looked for stands."""
_RED_ZONE = (0xBB, 0xCC)  # SLUB_RED_INACTIVE, SLUB_RED_ACTIVE: include/linux/poison.h
_MOST_RED_ZONE = 4096


@dataclass(frozen=True)
class MemoryReport:
    """The first such report."""

    checker: str
    """``SLUB``, ``KFENCE`` or ``KASAN``."""
    mistake: Mistake
    text: LogPointer
    cache: str | None
    stack: tuple[TrackFrame, ...]
    """Who made the access or the call, or came upon what was overwritten; innermost first."""
    allocated: tuple[TrackFrame, ...]
    freed: tuple[TrackFrame, ...]
    lines: tuple[LogPointer, ...]
    """Those that carry the stacks: of the access, of the allocation, of the freeing."""
    object: SlabObject | None
    """The object, where the report tells its address and it lies in a slab."""
    start: Address | None
    """Of the bytes that were overwritten, where SLUB tells."""
    length: int | None
    byte: int | None
    """The first of them."""
    from_before: SlabObject | None
    """The object before it, where its red zone is overwritten as well: it came from there."""
    because: BytesPointer | None
    """That red zone."""
    jumped: bool
    """Whether the first of :attr:`blamable` called a module's or an unknown function, which jumped
    on and left no address of its own."""
    by: TrackFrame | None
    """That function, where the call names it."""
    freed_jumped: bool
    """The same of the first who can be to blame among :attr:`freed`."""
    freed_by: TrackFrame | None
    red_zones: bool
    """Whether there are red zones between the objects, which whatever runs over destroys."""
    owner: str | None
    """Where something was overwritten: the module that allocated the object it was written from."""
    writers: tuple[str, ...]
    """Its functions that can have written too far, the most suspect first."""
    only_writer: bool
    """Whether the first of them is the only one."""

    @property
    def subject(self) -> SlabObject | None:
        """The object from which was written, or that was freed."""
        return self.from_before or self.object

    @property
    def may_be_run_over(self) -> bool:
        """Whether what was written begins with the object and no red zone lies before that."""
        one = self.object
        return one is not None and self.start == one.address and not self.red_zones

    @property
    def blamable(self) -> tuple[TrackFrame, ...]:
        """Of the stack, who can be to blame."""
        return blamable(self.stack)

    @property
    def carried(self) -> tuple[Pointer, ...]:
        """For the proof."""
        return (self.text, *self.lines)


def blamable(frames: Iterable[TrackFrame]) -> tuple[TrackFrame, ...]:
    """Who can be to blame."""
    return tuple(one for one in frames if one.plumbing is None)


def parse(text: str, before: Iterable[str] = ()) -> tuple[str, Mistake, str | None] | None:
    """Checker, mistake and slab cache of a report's first line.

    :param before: the lines before it

    >>> parse("BUG kmalloc-32 (Not tainted): Right Redzone overwritten")[0]
    'SLUB'
    >>> parse("BUG: unable to handle page fault") is None
    True
    """
    slub = _SLUB.search(text)
    match = slub or _OTHERS.search(text)
    if match is None:
        return None
    checker = "SLUB" if slub else match["checker"]
    said = match["what"]
    if slub is not None and said.startswith(_CORRUPT):
        said = next((m["what"] for line in before if (m := _BEFORE.search(line))), said)
    for name, pattern, mistake in _MISTAKES:
        if name == checker and pattern.match(said):
            return checker, mistake, slub["cache"] if slub else None
    return None


def collect(
    session: Session, log: Log, backtrace: Backtrace | Missing, modules: Modules | Missing
) -> MemoryReport | Missing:
    """Find the first report, its stacks, and the object it is about."""
    known = modules if isinstance(modules, Modules) else None
    for index, line in enumerate(log.lines):
        if "BUG" not in line.text:
            continue
        first = max(0, index - _LINES_BEFORE)
        found = parse(line.text, (one.text for one in log.lines[first:index]))
        if found is None or index in log.user:
            continue
        report = _crash_at(log, index)
        if report is None:
            return Missing(Why.UNREADABLE, "the report of the heap's check is not whole")
        lines = log.lines[first : index + _LINES]
        return _read(session, known, backtrace, report, line, lines, *found)
    return Missing(Why.NOT_APPLICABLE, "the log holds no report of the heap's own checks")


_ROLES = ("crash", "allocated", "freed")


def _crash_at(log: Log, index: int) -> CrashReport | None:
    """The report that begins with a line, or else the one that begins beside it."""
    exact = next((one for one in log.crashes if one.first_line == index), None)
    near = (one for one in log.crashes if index - 2 <= one.first_line <= index + 2)
    return exact or next(near, None)


def _read(
    session: Session,
    modules: Modules | None,
    backtrace: Backtrace | Missing,
    report: CrashReport,
    text: LogPointer,
    lines: tuple[LogPointer, ...],
    checker: str,
    mistake: Mistake,
    cache: str | None,
) -> MemoryReport:
    """Put a report together.

    :param text: the line that names the mistake
    :param lines: around it
    :param cache: the object's, if that line names it
    """
    one = _object(session, modules, lines)
    stacks = _stacks(session, modules, backtrace, report, lines, one)
    freed = any(True for _ in stack_of(session, modules, report, "freed"))
    if mistake is Mistake.INVALID_FREE and checker != "SLUB" and freed:
        mistake = Mistake.DOUBLE_FREE
    start, length, byte = _overwritten(lines)
    before, because = _damaged_before(session, modules, one, start)
    if before is not None and mistake is not Mistake.DOUBLE_FREE:
        mistake = Mistake.OVERWRITTEN
        track = before.track("allocated")
        stacks["allocated"] = track.calls if track is not None else ()
    owner: str | None = None
    able: tuple[str, ...] = ()
    only = False
    if mistake is Mistake.OVERWRITTEN:
        owner, able, only = _writers(session, modules, stacks["allocated"], before or one, start)
        # What lies before an object is written by whoever counts below it, or by anybody.
        only = only and (start is None or one is None or start > (before or one).address)
    jumped, by = _handed_on(session, modules, stacks["crash"])
    if mistake is Mistake.INVALID_FREE and by is None:
        by = release_function(session, modules, stacks["crash"], one)
    freed_jumped, freed_by = _handed_on(session, modules, stacks["freed"])
    named_cache = next((m["cache"] for x in lines if (m := _CACHE.search(x.text))), None)
    return MemoryReport(
        checker=checker,
        mistake=mistake,
        text=text,
        cache=cache or named_cache or (one.cache if one is not None else None),
        stack=stacks["crash"],
        allocated=stacks["allocated"],
        freed=stacks["freed"],
        lines=tuple(_carrying(lines, stacks)),
        object=one,
        start=start,
        length=length,
        byte=byte,
        from_before=before,
        because=because,
        jumped=jumped,
        by=by or _called_by_kernel(session, modules, stacks["crash"], mistake, jumped=jumped),
        freed_jumped=freed_jumped,
        freed_by=freed_by,
        red_zones=one is not None and has_red_zones(session.prog, one.cache_address),
        owner=owner,
        writers=able,
        only_writer=only,
    )


def _stacks(
    session: Session,
    modules: Modules | None,
    backtrace: Backtrace | Missing,
    report: CrashReport,
    lines: tuple[LogPointer, ...],
    one: SlabObject | None,
) -> dict[str, tuple[TrackFrame, ...]]:
    """The stacks by their roles: better ones than the report's where the dump has them."""
    stacks = {role: tuple(stack_of(session, modules, report, role)) for role in _ROLES}
    if isinstance(backtrace, Backtrace):
        stacks["crash"] = of_dump(backtrace) or stacks["crash"]
    for role in ("allocated", "freed"):
        track = one.track(role) if one is not None else None
        stacks[role] = (
            track.calls
            if track is not None
            else with_caller(session, modules, lines, role, stacks[role])
        )
    return stacks


def _handed_on(
    session: Session, modules: Modules | None, frames: tuple[TrackFrame, ...]
) -> tuple[bool, TrackFrame | None]:
    first = next(iter(blamable(frames)), None)
    if first is None or frames[0] is first:
        return False, None
    if not first.pc:
        return True, None
    return handed_on(session.prog, modules, first)


def _called_by_kernel(
    session: Session,
    modules: Modules | None,
    frames: tuple[TrackFrame, ...],
    mistake: Mistake,
    *,
    jumped: bool,
) -> TrackFrame | None:
    """The module's function that the kernel's own called through a pointer, and that freed."""
    first = next(iter(blamable(frames)), None)
    frees = mistake in (Mistake.DOUBLE_FREE, Mistake.INVALID_FREE)
    if not frees or not jumped or first is None or first.module is not None:
        return None
    return freeing_jump(session, modules)


def _object(
    session: Session, modules: Modules | None, lines: tuple[LogPointer, ...]
) -> SlabObject | None:
    for line in lines:
        match = _OBJECT.search(line.text)
        if match is not None:
            return owner_of(session, modules, int(match["address"], 16)).slab
    return None


def _overwritten(lines: tuple[LogPointer, ...]) -> tuple[Address | None, int | None, int | None]:
    for line in lines:
        match = _BYTES.search(line.text)
        if match is not None:
            start, last = int(match["start"], 16), int(match["last"], 16)
            if 0 <= last - start < _MOST_RED_ZONE:
                return Address(start), last - start + 1, int(match["byte"], 16)
    return None, None, None


def _damaged_before(
    session: Session, modules: Modules | None, one: SlabObject | None, start: Address | None
) -> tuple[SlabObject | None, BytesPointer | None]:
    """The object before, if what was overwritten goes on from there: its own red zone is gone."""
    from drgn import FaultError

    if one is None or start is None or start > one.address:
        return None, None
    before = neighbour(session, modules, one, -1)
    if before is None or not has_red_zones(session.prog, one.cache_address):
        return None, None
    try:
        zone = session.read(int(before.end), 8)
    except FaultError:
        return None, None
    if any(byte not in _RED_ZONE for byte in zone):
        return before, BytesPointer(Address(before.end), zone.hex())
    return None, None


def _writers(
    session: Session,
    modules: Modules | None,
    allocated: tuple[TrackFrame, ...],
    one: SlabObject | None,
    start: Address | None,
) -> tuple[str | None, tuple[str, ...], bool]:
    """The module that allocated it, and which of its functions can have written past its end."""
    made = next(iter(blamable(allocated)), None)
    if made is None or made.module is None or modules is None:
        return None, (), False
    module = next((m for m in modules.loaded if m.name == made.module), None)
    if module is None:
        return made.module, (), False
    code = inner_functions(session, module)
    bases: set[int] = set()
    if one is not None:
        found = holding_variables(session, modules, one.address, one.address + one.size)
        bases = {int(at) for _, at, _, _ in found}
    # What runs past the end of a slab object is refused by copy_from_user() itself.
    beyond = one is not None and start is not None and start >= one.end
    chosen = [
        f
        for f in (*writers(code, bases), *(f for f in code if f.indexed))
        if not (beyond and checked_alone(f))
    ]
    names = named(chosen)
    makers = {frame.function for frame in allocated if frame.module == module.name}
    names = (*(n for n in names if n in makers), *(n for n in names if n not in makers))
    return module.name, names, len(names) == 1


def _carrying(
    lines: tuple[LogPointer, ...], stacks: dict[str, tuple[TrackFrame, ...]]
) -> Iterator[LogPointer]:
    """The line of each stack that names the first who can be to blame."""
    for frames in stacks.values():
        first = next(iter(blamable(frames)), None)
        line = None if first is None else _naming(lines, first.function)
        if line is not None:
            yield line


def _naming(lines: tuple[LogPointer, ...], function: str) -> LogPointer | None:
    return next((line for line in lines if f"{function}+0x" in line.text), None)
