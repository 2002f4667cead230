"""Which functions of a module end waits of the kind that one of its own functions hangs in."""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.symptom import Symptom
from oopsight.evidence.hangs.waiting import Waits
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.evidence.pointers import ModulePointer
from oopsight.kernel.call_sites import addresses, calls
from oopsight.kernel.code_ahead import GIVES
from oopsight.kernel.names import Names
from oopsight.kinds import Kind
from oopsight.plumbing import base_name
from oopsight.session import Session

_KINDS = ("completion", "event")
_MOST_MODULES = 8
_MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class Waker:
    """A function that calls what ends a wait of a kind; for which object is not looked at."""

    module: ModulePointer
    kind: str
    function: str
    calls: str
    """The function it calls for it."""


@dataclass(frozen=True)
class Wakers:
    """Those of the modules whose functions hang."""

    wakers: tuple[Waker, ...]

    def of(self, module: str | None, kind: str) -> tuple[Waker, ...]:
        """Those of a module, each function once."""
        found = {w.function: w for w in self.wakers if (w.module.name, w.kind) == (module, kind)}
        return tuple(found.values())


def collect(
    session: Session, symptom: Symptom, waits: Waits | Missing, modules: Modules
) -> Wakers | Missing:
    """Search the code of modules that wait for what names nobody who is to end it."""
    if symptom.kind is not Kind.HUNG_TASK or isinstance(waits, Missing):
        return Missing(Why.NOT_APPLICABLE, "no hung task was reported")
    wanted = {
        (wait.call.module, wait.lock.kind)
        for wait in waits.victims
        if wait.lock is not None
        and wait.lock.kind in _KINDS
        and not wait.lock.holders
        and wait.call is not None
        and wait.call.module is not None
    }
    found: list[Waker] = []
    names = Names(session.prog)
    for module in [m for m in modules.loaded if m.name in {name for name, _ in wanted}][
        :_MOST_MODULES
    ]:
        kinds = {kind for name, kind in wanted if name == module.name}
        found += _search(session, names, module, kinds)
    return Wakers(tuple(found))


def _search(session: Session, names: Names, module: Module, kinds: set[str]) -> list[Waker]:
    targets = addresses(session.prog, [name for name, kind in GIVES.items() if kind in kinds])
    found = []
    for start, end in module.ranges:
        size = min(end - start, _MOST_BYTES)
        for site, target in calls(session.prog, start, size, targets, jumps=True):
            name, begin, _ = names.code(site)
            if begin is None or not module.holds(begin):
                continue
            called = targets[target]
            found.append(Waker(module.pointer, GIVES[called], base_name(name), called))
    return found
