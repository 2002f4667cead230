"""A function on the way to the crash that used, after a read section, what it had got in that.

Under RCU an object stays as long as the section; whoever goes on with it needs a reference. Whoever
frees it after a grace period is right to. The function may be a helper that returns the pointer.
"""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace, Frame
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules.code_uses import uses_of
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import FramePointer
from oopsight.kernel.calling_convention import ARGUMENTS
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import Instruction, address_registers, direct_target
from oopsight.kernel.read_sections import ENTERS, kept_after
from oopsight.plumbing import base_name
from oopsight.session import Session


@dataclass(frozen=True)
class OutOfSection:
    """The function, and where it used the pointer."""

    module: str
    function: str
    helper: bool
    """Whether it had returned the pointer, and another used it."""
    source: str | None
    frame: FramePointer
    """Of who used it."""


def collect(
    session: Session, backtrace: Backtrace, modules: Modules, flow: DataFlow | Missing
) -> OutOfSection | Missing:
    """Follow the code of the modules' functions on the way to the crash, where one enters such."""
    nothing = Missing(Why.NOT_APPLICABLE, "nobody used what was got in a read section left since")
    names = {one.name: one for one in modules.loaded if one.taints}
    frames = [frame for frame in backtrace.crash_path if not frame.inline]
    for number, frame in enumerate(frames):
        module = names.get(frame.module or "")
        if module is None or frame.called_by is not None:
            continue
        found = _Code(session, modules, module).used(frame, number == 0)
        if found is not None and _had_it(flow, found.function, frame, number):
            return found
    return nothing


def _had_it(flow: DataFlow | Missing, function: str, frame: Frame, number: int) -> bool:
    """Whether the bad pointer went through the function, as far as its way is known."""
    if isinstance(flow, Missing):
        return False
    names = {base_name(step.function) for way in flow.ways for step in way.steps}
    names |= {base_name(way.function) for way in flow.ways}
    return base_name(frame.function) in names or function in names or number == 0


class _Code:
    """The functions of one module."""

    def __init__(self, session: Session, modules: Modules, module: Module) -> None:
        self._reader = StackReader(session, modules)
        self._module = module
        code = inner_functions(session, module)
        enters = {one.name for one in code if one.outside & set(ENTERS)}
        self._starts = {one.start: one for one in code}
        self._near = {one.name for one in code if one.name in enters or one.calls & enters}
        uses = uses_of(SessionReader(session), code) if self._near else {}
        self._counting = {name for name, use in uses.items() if use.counts}

    def used(self, frame: Frame, faulted: bool) -> OutOfSection | None:
        """Whether a function had such a pointer in use where its frame is."""
        name, start, _ = self._reader.names.code(frame.pc if faulted else frame.pc - 1)
        if start not in self._starts or self._starts[start].name not in self._near:
            return None
        function = self._reader.function(start)
        row = _row(function, frame.pc, faulted) if function is not None else None
        if function is None or row is None:
            return None
        used = _used(row)
        if used & self._kept(function).get(row.address, frozenset()):
            return OutOfSection(
                self._module.name, base_name(name), False, frame.source, frame.pointer
            )
        for helper in self._helpers(function):
            if self._returns(helper):
                return OutOfSection(
                    self._module.name,
                    base_name(self._reader.names.code(helper.start)[0]),
                    True,
                    None,
                    frame.pointer,
                )
        return None

    def _kept(self, function: Function) -> dict[int, frozenset[str]]:
        return kept_after(function, self._reader.names.function_at, self._counts)

    def _counts(self, target: int) -> bool:
        one = self._starts.get(target)
        return one is not None and base_name(one.name) in self._counting

    def _helpers(self, function: Function) -> Iterator[Function]:
        """Those of the module's functions that it calls and that enter a section."""
        for row in function.code.values():
            target = direct_target(row) if row.mnemonic == "call" else None
            if target in self._starts and self._starts[target].name in self._near:
                helper = self._reader.function(target)
                if helper is not None:
                    yield helper

    def _returns(self, helper: Function) -> bool:
        """Whether it returns such a pointer."""
        kept = self._kept(helper)
        return any(
            row.mnemonic == "ret" and "rax" in kept.get(at, ()) for at, row in helper.code.items()
        )


def _row(function: Function, pc: int, faulted: bool) -> Instruction | None:
    if faulted:
        return function.code.get(pc)
    return next((row for row in function.code.values() if row.end == pc), None)


def _used(row: Instruction) -> frozenset[str]:
    """Registers that tell an instruction what it works on; of a call its first arguments."""
    return frozenset(ARGUMENTS[:4] if row.mnemonic == "call" else address_registers(row))
