"""Facts of a crash made by hand: a read fault in ``f()``, called by ``g()`` of the kernel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oopsight.evidence import Address, Evidence, Missing, Why
from oopsight.evidence.corruption.list_report import ListEntry, ListReport, parse
from oopsight.evidence.corruption.overrun import Overrun
from oopsight.evidence.crash.backtrace import Backtrace, Frame, Role
from oopsight.evidence.crash.fault import Fault, Operand
from oopsight.evidence.crash.file_accessed import FileAccessed
from oopsight.evidence.crash.log import Log
from oopsight.evidence.crash.task import CrashedTask
from oopsight.evidence.flow.data_flow import DataFlow, FlowStep, Way
from oopsight.evidence.memory.memory_report import MemoryReport, Mistake
from oopsight.evidence.memory.object_users import ModuleUse, ObjectUsers
from oopsight.evidence.memory.owner import Owner, SlabObject
from oopsight.evidence.memory.slab_tracks import Track, TrackFrame
from oopsight.evidence.modules.dangling import Dangling, DanglingPointers
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import (
    BytesPointer,
    FileReference,
    FramePointer,
    InstructionPointer,
    LogPointer,
    Memory,
    TaskPointer,
    Unmapped,
)

ABSENT = Missing(Why.UNREADABLE, "filtered out", Address(0x1000))
AREA = (Address(0xFFFFFFFFC0000000), Address(0xFFFFFFFFFF000000))
BAD = Address(0xFFFFFFFFC0395070)


def frame(index: int, function: str, role: Role, module: str | None = None) -> Frame:
    """A frame without source line."""
    pc = Address(0xFFFFFFFF81000000 + index)
    return Frame(index, pc, Address(0), function, f"{function}+0x9", module, None, False, role)


def backtrace(*, interrupted: bool = True, **functions: Role) -> Backtrace:
    """Frames by function name; the default is ``f`` faulting under ``g``."""
    chosen = functions or {"f": Role.FAULT, "g": Role.CALLER}
    frames = tuple(frame(i, name, role) for i, (name, role) in enumerate(chosen.items()))
    return Backtrace(frames, (), interrupted, "page_fault" if interrupted else None)


def fault(address: int | None = 0x38, **changes: Any) -> Fault:
    """A read of ``[rdi + 0x38]`` with ``rdi`` = 0, unless changed."""
    where = None if address is None else Address(address)
    made = Fault(
        exception="page_fault",
        address=where,
        access="read",
        pc=Address(0xFFFFFFFF81000000),
        function="f",
        module=None,
        instruction="mov rax, qword ptr [rdi + 0x38]",
        code="488b4738",
        operand=Operand("rdi", Address(0), None, 0x38, Address(0x38)),
        unmapped=None if where is None else Unmapped(where),
        frame=FramePointer(0, Address(0xFFFFFFFF81000000), "f"),
    )
    return replace(made, **changes)


_MASK = (1 << 64) - 1


def flow_step(
    how: str, function: str, value: int | None = None, module: str | None = None, **changes: Any
) -> FlowStep:
    """A step back, of a value in ``rdi``."""
    made = FlowStep(
        how=how,
        place="rdi",
        value=None if value is None else Address(value & _MASK),
        function=function,
        module=module,
        frame=1,
        instruction=InstructionPointer(Address(0xFFFFFFFF81000100), "488b3f", "mov rdi, [rdi]"),
        memory=None,
        agrees=None,
        certain=True,
        source=None,
        text=f"{function} {how} it",
    )
    return replace(made, **changes)


def way(*steps: FlowStep, **changes: Any) -> Way:
    """The way of a value through these steps, ending as the last one does."""
    last = steps[-1]
    made = Way(
        place="rdi",
        value=steps[0].value,
        steps=steps,
        ended=last.how,
        why="" if last.how != "lost" else "by hand",
        function=last.function,
        module=last.module,
        frame=FramePointer(last.frame, Address(0xFFFFFFFF81000001), last.function),
        held_in=None,
        name=None,
        returned_by=None,
    )
    return replace(made, **changes)


def owner(address: int, kind: str, **changes: Any) -> Owner:
    """What an address is."""
    return replace(Owner(Address(address), kind, f"{kind} by hand"), **changes)


def slab_object(state: str = "allocated", **changes: Any) -> SlabObject:
    """An object of kmalloc-64."""
    at = Address(0xFFFF888000040000)
    made = SlabObject(
        cache="kmalloc-64",
        address=at,
        size=64,
        stride=64,
        state=state,
        poisoned=False,
        cache_address=Address(0xFFFF888000001000),
        head=BytesPointer(at, "00" * 64),
        tracks=(),
        refers=(),
    )
    return replace(made, **changes)


def track(what: str, function: str, module: str | None = None) -> Track:
    """The allocator's record of one call."""
    at = Address(0xFFFF888000040050)
    frame_ = TrackFrame(Address(0xFFFFFFFFC0400010), function, module, None)
    return Track(what, at, frame_, 7, 0, 4295, (frame_,), BytesPointer(at, "00" * 16))


def users(one: SlabObject) -> ObjectUsers:
    """Module ``mod`` uses an object."""
    because = BytesPointer(Address(0xFFFFFFFFC0400100), "00" * 8)
    use = ModuleUse(
        "mod", "its variable holds the object", because, ("mod_free",), ("mod_copy",), ()
    )
    return ObjectUsers("freed", "the bad pointer was read from it", one, None, (use,))


def memory_report(mistake: Mistake, **changes: Any) -> MemoryReport:
    """SLUB's, of an object that ``stage`` allocated, freed and came upon."""

    def frames(*functions: str) -> tuple[TrackFrame, ...]:
        return tuple(
            TrackFrame(Address(0xFFFFFFFFC0400010), name, "stage", None) for name in functions
        )

    made = MemoryReport(
        checker="SLUB",
        mistake=mistake,
        text=LogPointer(7.0, f"BUG stg_request (Not tainted): {mistake.value}"),
        cache="stg_request",
        stack=frames("stg_work"),
        allocated=frames("stg_submit", "stg_write"),
        freed=frames("stg_abort", "stg_write"),
        lines=(),
        object=None,
        start=None,
        length=None,
        byte=None,
        from_before=None,
        because=None,
        jumped=False,
        by=None,
        freed_jumped=False,
        freed_by=None,
        red_zones=False,
        owner=None,
        writers=(),
        only_writer=False,
    )
    return replace(made, **changes)


def overrun() -> Overrun:
    """Text that runs from one object into the next."""
    before = slab_object()
    start = Address(before.address + 40)
    return Overrun(
        before, start, Address(start + 40), "text", "upper-bay", BytesPointer(start, "61" * 40)
    )


def list_report(text: str) -> ListReport:
    """The list check's report, every address in it unknown memory."""
    found = parse(text)
    assert found is not None
    operation, field, poison, double, addresses = found
    entries = tuple(
        ListEntry(role, owner(value, "null" if value < 4096 else "unknown"))
        for role, value in addresses.items()
    )
    return ListReport(operation, LogPointer(1.0, text), field, poison, double, entries)


def data_flow(*ways: Way, **changes: Any) -> DataFlow:
    """The operand's way, and that of the pointers it was read through."""
    made = DataFlow("operand", None, ways, (), None, None, None)
    return replace(made, **changes)


def module(name: str, start: int, end: int, taints: str = "") -> Module:
    """A loaded module with one range."""
    return Module(name, Address(start), ((Address(start), Address(end)),), taints)


def modules(*loaded: Module, last: str | None = "gone", **changes: Any) -> Modules:
    """Loaded modules, ``gone`` having been unloaded last."""
    return replace(Modules(loaded, (), last, AREA), **changes)


def dangling(*targets: int) -> DanglingPointers:
    """Slab caches named by their order, whose name pointers lead to the targets."""
    return DanglingPointers(
        tuple(
            Dangling(
                "slab_caches",
                "slab cache",
                f"cache{number}",
                Address(target),
                Memory(
                    "struct kmem_cache",
                    Address(0xFFFF888000000000 + number * 256),
                    "name",
                    Address(0xFFFF888000000060 + number * 256),
                    target.to_bytes(8, "little").hex(),
                ),
            )
            for number, target in enumerate(targets)
        ),
        (),
    )


def log(*texts: str) -> Log:
    """A line each second."""
    lines = tuple(LogPointer(float(at), text) for at, text in enumerate(texts, 1))
    return Log(lines, None, None, None)


def task(comm: str = "sh") -> CrashedTask:
    """A shell, child of init."""
    line = (
        TaskPointer(42, comm, Address(0xFFFF888000010000)),
        TaskPointer(1, "init", Address(0xFFFF888000020000)),
    )
    return CrashedTask(42, comm, 0, line, (), None)


def accessed(path: str = "/proc/slabinfo") -> FileAccessed:
    """A file held by ``g``."""
    at = Address(0xFFFF888000030000)
    return FileAccessed(FileReference(path, 3, at), backtrace().frames[1].pointer, "file")


def evidence(**facts: Any) -> Evidence:
    """Evidence that holds these facts and no others, without a dump behind it."""
    from oopsight.evidence.crash.system import System

    made = Evidence(None)
    kinds = (System, Log, Backtrace, Fault, CrashedTask, FileAccessed, Modules, DanglingPointers)
    made.facts = dict.fromkeys(kinds, ABSENT)
    made.facts |= {type(fact): fact for fact in facts.values()}
    return made
