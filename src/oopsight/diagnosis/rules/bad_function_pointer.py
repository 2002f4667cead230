"""The kernel jumped to where no code is.

Finds
    A call through a pointer went to data or to an address that is none.

Why it happens
    The memory that holds the pointer was freed, overwritten or never set up, or a table holds what
    is no function. A pointer that is NULL is ``null_dereference``.

How it is decided
    The address that faulted is the program counter. The return address on the stack leads to the
    call; its operand, followed back, to the memory that held the pointer. Where that is an object
    and not a table of the program, why it went bad is open, and the whole only *possible*. Where
    the pointer leads to data of the program, those functions of the module come first that write
    it; else they come last. Where it holds text, the functions of its module that copy memory come
    first; so do those that store by an index which can lead there, as in ``wild_pointer``. Of a
    table's entry that was chosen by a number in memory, those that set that come first.

When it is wrong
    Who calls a pointer that was kept in memory need not be to blame for it: that no code is there
    is shown, and who is to blame only *possible*. Where the program counter came from a damaged
    stack (a return, not a call) the word on top of it is not the caller; that it must follow a call
    instruction guards against that.

Example
    ``timer->function(timer)`` where the object holds text: a jump to what the letters spell.

Look next
    ``dis`` before the return address; the table's definition.
"""

from __future__ import annotations

from oopsight.cheap import replace
from oopsight.diagnosis import Certainty, Clear, Culprit, Finding, Undecided
from oopsight.diagnosis.bad_call import bad_call, is_null, target_of, with_index
from oopsight.diagnosis.blame import merge, out_of_bounds_first, strays_first, writers_first
from oopsight.diagnosis.doers import makers_that_omit
from oopsight.diagnosis.places import state_step
from oopsight.evidence import Missing
from oopsight.evidence.corruption.stray_stores import StrayStores
from oopsight.evidence.corruption.text_writers import TextWriters
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.crash.complaints import Complaints
from oopsight.evidence.crash.fault import Fault
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.index_writers import IndexWriters
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.target_writers import TargetWriters


def bad_function_pointer(
    fault: Fault,
    backtrace: Backtrace,
    flow: DataFlow | Missing,
    modules: Modules | Missing,
    text: TextWriters | Missing,
    doers: Doers | Missing,
    strays: StrayStores | Missing,
    complaints: Complaints | Missing,
    writers: TargetWriters | Missing,
    index: IndexWriters | Missing,
) -> Finding | Clear | Undecided:
    """Decide whether a call went to where no code is."""
    unset = makers_that_omit(doers)
    outcome = bad_call(fault, backtrace, flow, modules, unset)
    if isinstance(outcome, Finding) and is_null(target_of(fault, flow)):
        return Clear("the function pointer was NULL")
    if isinstance(outcome, Finding) and isinstance(complaints, Complaints):
        steps = list(outcome.chain)
        warned = out_of_bounds_first(list(outcome.culprits), complaints, steps)
        if len(steps) > len(outcome.chain):
            return replace(
                outcome, certainty=Certainty.POSSIBLE, chain=tuple(steps), culprits=tuple(warned)
            )
    if isinstance(outcome, Finding) and isinstance(text, TextWriters):
        # Who made the object and left in it what had been there before put no text there.
        culprits = merge(unset, writers_first(list(outcome.culprits), text))
        return replace(outcome, certainty=Certainty.POSSIBLE, culprits=tuple(culprits))
    if isinstance(outcome, Finding) and isinstance(index, IndexWriters):
        told = with_index(outcome, index, beyond=True)
        if told is not outcome:
            return told
    if isinstance(outcome, Finding) and isinstance(strays, StrayStores):
        steps = list(outcome.chain)
        culprits = merge(unset, strays_first(list(outcome.culprits), strays, steps))
        return replace(
            outcome, certainty=Certainty.POSSIBLE, chain=tuple(steps), culprits=tuple(culprits)
        )
    if isinstance(outcome, Finding) and isinstance(writers, TargetWriters):
        return _kept(outcome, writers, unset)
    return outcome


def _kept(outcome: Finding, writers: TargetWriters, unset: list[Culprit]) -> Finding:
    """With who writes to the pointer; first where that took data for a function."""
    state = writers.state
    why = f"writes to {state.way.name or 'the field'}, which held no function's address"
    found = [Culprit(state.module, name, None, None, why) for name in state.functions]
    culprits = list(outcome.culprits)
    culprits = merge(unset, found, culprits) if writers.to_data else merge(culprits, found)
    return replace(outcome, chain=(*outcome.chain, state_step(state)), culprits=tuple(culprits))
