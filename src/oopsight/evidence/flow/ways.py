"""The ways of values as facts, in words and with what their steps are called."""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Address
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.effects import MASK
from oopsight.evidence.flow.moves import Context, How, Move
from oopsight.evidence.memory.owner import Owner
from oopsight.evidence.memory.slab_tracks import TrackFrame
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import BytesPointer, FramePointer, InstructionPointer
from oopsight.session import Session
from oopsight.text import printable


@dataclass(frozen=True)
class FlowStep:
    """One step back along the way of a value."""

    how: str
    """A value of :class:`~oopsight.evidence.flow.moves.How`."""
    place: str
    """The register or stack slot that the value went to."""
    value: Address | None
    function: str
    module: str | None
    frame: int
    """In the backtrace."""
    instruction: InstructionPointer
    memory: BytesPointer | None
    """What the memory that was read holds in the dump."""
    agrees: bool | None
    """Whether that is still the value; ``None`` where either is not known."""
    certain: bool
    """Whether code and dump allow no other way; else it is the only one that agrees with both."""
    source: str | None
    """``file:line``, of the steps that matter and where debug information is at hand."""
    text: str
    """In words."""


@dataclass(frozen=True)
class Way:
    """The way of one value, from where it was used back to where it came from."""

    place: str
    """The register where it was used."""
    value: Address | None
    steps: tuple[FlowStep, ...]
    ended: str
    """How it came to be, as far as it could be followed: ``loaded``, ``returned``, ``set`` or
    ``lost``."""
    why: str
    """Why it could not be followed further; empty unless ``lost``."""
    function: str
    """Where it came to be, or where its trace was lost."""
    module: str | None
    frame: FramePointer | None
    held_in: Owner | None
    """Whose memory it was read from."""
    name: str | None
    """What that memory is called: ``kmem_cache.name``, ``telem_current`` …"""
    returned_by: str | None
    """The function that returned it."""
    returner_module: str | None = None
    """The module of that function."""
    written_by: tuple[TrackFrame, ...] = ()
    """Functions that were called through pointers before it was read from the caller's stack, and
    so can have left it there."""

    @property
    def index(self) -> FlowStep | None:
        """The step that tells the number from which, and a good pointer, the value was computed.

        ``None`` where the value was a pointer from where it came to be, or where that is not known.
        """
        if self.ended == "lost" or any(step.how == "page" for step in self.steps):
            return None
        for step, source in zip(self.steps, self.steps[1:], strict=False):
            if step.how == "index":
                return source
        return None

    @property
    def certain(self) -> bool:
        """Whether no step was chosen among several."""
        return all(step.certain for step in self.steps)

    @property
    def end(self) -> FlowStep | None:
        """The last step."""
        return self.steps[-1] if self.steps else None

    @property
    def passed_by(self) -> tuple[FlowStep, ...]:
        """The steps from a function into its caller."""
        return tuple(step for step in self.steps if step.how in ("passed", "saved"))

    @property
    def from_user(self) -> bool:
        """Whether it came with the system call: it was read from the registers saved on entry."""
        return (self.name or "").removeprefix("const ").startswith("struct pt_regs.")

    @property
    def changed(self) -> bool:
        """Whether the memory it was read from now holds something else."""
        return self.end is not None and self.end.how == "loaded" and self.end.agrees is False


class Namer:
    """Names and types along the ways of one analysis."""

    def __init__(self, session: Session, modules: Modules | None, backtrace: Backtrace) -> None:
        self.session = session
        self.modules = modules
        self.backtrace = backtrace

    def module(self, context: Context) -> str | None:
        """The module whose code it is."""
        owner = self.modules.owner(context.function.start) if self.modules else None
        return owner.name if owner else None

    def where(self, context: Context) -> str:
        """Function and module."""
        module = self.module(context)
        name = context.function.name
        return f"{name} [{module}]" if module else name

    def frame(self, context: Context) -> FramePointer | None:
        """Its frame in the backtrace."""
        return next((f.pointer for f in self.backtrace.frames if f.index == context.frame), None)

    def source(self, address: int) -> str | None:
        """``file:line`` of an instruction, where debug information is at hand."""
        try:
            found = self.session.prog.source_location(address)[0]
        except (LookupError, ValueError, AttributeError, IndexError, SymbolError):
            return None
        return f"{printable(found.filename)}:{found.line}"


def step_of(namer: Namer, move: Move, inner: Context) -> FlowStep:
    """A move as a fact.

    :param inner: the call that the one before it was in
    """
    row = move.context.function.instructions[move.index]
    instruction = InstructionPointer(Address(row.address), row.bytes.hex(), row.text)
    memory = agrees = None
    if move.address is not None and move.found is not None:
        size = move.load.memory.size if move.load else 8
        data = (move.found & MASK).to_bytes(8, "little")[:size]
        memory = BytesPointer(Address(move.address), data.hex())
        agrees = None if move.value is None else move.found == move.value
    matters = move.how in (How.LOADED, How.PASSED, How.RETURNED, How.SET)
    return FlowStep(
        how=move.how.value,
        place=str(move.place),
        value=None if move.value is None else Address(move.value),
        function=move.context.function.name,
        module=namer.module(move.context),
        frame=move.context.frame,
        instruction=instruction,
        memory=memory,
        agrees=agrees,
        certain=move.certain,
        source=namer.source(row.address) if matters else None,
        text=_words(namer, move, inner),
    )


def _words(namer: Namer, move: Move, inner: Context) -> str:
    where, place = namer.where(move.context), move.place
    value = "a value that is not known" if move.value is None else f"{move.value:#x}"
    if move.how is How.PASSED:
        found = None
        if isinstance(place, str):
            from oopsight.evidence.flow.type_names import parameter, short_name

            code = inner.function
            found = parameter(namer.session.prog, code.name, code.start, place)
        called = f"{found[0]!r} ({short_name(found[1])})" if found else f"its argument in {place}"
        return f"{where} called {inner.function.name} with {value} as {called}"
    if move.how is How.LOADED:
        at = "memory" if move.address is None else f"{move.address:#x}"
        return f"{where} read {value} from {at} into {place}"
    if move.how is How.RETURNED:
        return f"{where} got {value} returned by a function it called"
    if move.how is How.SET:
        return f"{where} set {place} to {value} itself"
    if move.how is How.RELOADED:
        return f"{where} had kept {value} in its {move.source}"
    if move.how is How.SAVED:
        return f"{where} had {value} among its variable arguments, in {move.source}"
    if move.how in (How.COMPUTED, How.INDEX, How.PAGE):
        row = move.context.function.instructions[move.index]
        source = f" from {move.source}" if move.source else ""
        return f"{where} computed {value}{source}: {row.text}"
    if move.how is How.LOST:
        return f"in {where}, {place} = {value}: {move.why}"
    return f"{where} copied {value} from {move.source} to {place}"


def end_words(
    step: FlowStep, name: str | None, held_in: Owner | None, returned_by: str | None
) -> str:
    """The last step of a way in words, with what the value was read from or returned by."""
    where = f"{step.function} [{step.module}]" if step.module else step.function
    value = "the value" if step.value is None else str(step.value)
    if step.how == "returned" and returned_by:
        return f"{where} got {value} from {returned_by}"
    if step.how != "loaded" or held_in is None:
        return step.text
    thing = f"{name} at {held_in.address}" if name else f"{held_in.address}"
    if held_in.kind in ("slab", "stack", "vmalloc", "free-page"):
        thing = f"{thing} ({held_in.detail})"
    elif held_in.kind == "per-cpu":
        thing = f"{thing} (per-CPU data)"
    elif held_in.module is not None:
        thing = f"{thing} ({held_in.module}'s data)"
    still = ""
    if step.agrees is False and step.memory is not None:
        now = int.from_bytes(bytes.fromhex(step.memory.bytes), "little")
        still = f"; by the time of the dump it held {now:#x}"
    return f"{where} read {value} from {thing}{still}"
