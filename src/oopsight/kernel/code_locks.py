"""Which locks a function holds at a place in its code, from the machine code alone.

No debug information is needed: the function is followed along all its paths, from its entry to the
place asked for, and each call of a lock or unlock function changes what is held. Registers are
followed as expressions of the function's arguments, constants and loads, so that a lock taken by
``lea 0x8(%rbx), %rdi; call _raw_spin_lock`` is recognised where it is released, and has an address
wherever the register is still known. x86-64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from oopsight.kernel.calling_convention import ARGUMENTS, CALLEE_SAVED, NEVER_RETURN
from oopsight.kernel.held_locks import Held, Leak, Place, still_off
from oopsight.kernel.lock_functions import (
    ACQUIRES,
    ACQUIRES_IF_ZERO,
    ACQUIRES_UNLESS_ZERO,
    BIT_LOCK,
    BOTTOM_HALVES,
    COUNTED,
    RELEASES,
    UNINTERRUPTIBLE,
    VARIABLES,
)
from oopsight.kernel.lock_wrappers import Wrapper, wrapper
from oopsight.kernel.machine_code import (
    FRAME,
    MASK,
    Expression,
    Instruction,
    Registers,
    after_call,
    assign,
    at_entry,
    counted,
    decode,
    direct_target,
    memory_place,
    result_of,
    stores,
)

MOST_STATES = 4000
_MOST_HELD = 8
ONCE = ("spinlock", "mutex", "rwsem", "rtmutex")
"""Kinds of locks that are given back but once for each time they were taken."""

RETURN_THUNKS = (
    "__x86_return_thunk",
    "srso_return_thunk",
    "srso_alias_return_thunk",
    "retbleed_return_thunk",
)


class _Return(NamedTuple):
    address: int
    held: tuple[Held, ...]
    acts: bool
    again: int | None


class _State(NamedTuple):
    held: tuple[Held, ...]
    maybe: tuple[Held, bool] | None
    """A lock that depends on what the last call returned, and whether zero means success."""
    back: frozenset[tuple[str, Expression]] = frozenset()
    """Locks that were given back and not taken again, while others of their kind are held."""
    again: int | None = None
    """The call that gave one of these back for the second time."""


class Function:
    """The code of one function, followed.

    :param code: its bytes, from its first one
    :param start: its address
    :param name_of: names the function at an address, ``None`` where none begins there
    :param preempt_count: offset of the CPU's own preemption counter in its per-CPU area
    :param address_of: the address of a variable by its name, ``None`` where there is none
    :param called_at: the function that begins at an address, where it may take locks for others or
        give them back; ``None`` for others
    :param part_at: where the part of the function begins that an address lies in and the compiler
        has moved aside, as it does with what prints a message, and its bytes; ``None`` for others
    """

    def __init__(
        self,
        code: bytes,
        start: int,
        name_of: Callable[[int], str | None],
        preempt_count: int | None = None,
        address_of: Callable[[str], int | None] | None = None,
        part_at: Callable[[int], tuple[int, bytes] | None] | None = None,
        called_at: Callable[[int], Function | None] | None = None,
    ) -> None:
        self.start = start
        self._called_at = called_at
        self._address_of = address_of
        self._preempt_count = preempt_count
        self._name_of = name_of
        self.code = decode(code, start)
        """Its instructions by address."""
        self._add_parts(part_at)
        self._ends = {at for at, row in self.code.items() if self._never_returns(row)}
        self._registers: dict[int, Registers] = {}
        self._states: dict[int, list[_State]] = {}
        self.leaks: tuple[Leak, ...] = ()
        self.kept: tuple[Held, ...] = ()
        """Locks that it returns with on every way: another function is to give them back."""
        self.taken: frozenset[Held] = frozenset()
        """Locks that it can return with."""
        self.given: frozenset[tuple[str, Expression | None]] = frozenset()
        """Kinds of locks, and which, that some way gives back which has not taken any."""
        self._given: set[tuple[str, Expression | None]] = set()
        self.followed = False
        """Whether all paths could be followed."""
        self._follow()

    def at(self, address: int, *, calling: bool) -> Place | None:
        """What holds just before the instruction at an address is carried out.

        :param calling: the address is the return address of a call in progress; a lock which that
            call is about to take is not held yet, but :attr:`Place.wanted`
        """
        states = self._states.get(address)
        if not states:
            return None
        held = set(states[0].held)
        for state in states[1:]:
            held &= set(state.held)
        wanted = None
        if calling:
            asked = {h for h in held if self.code[h.site].end == address}
            held -= asked
            maybe = {state.maybe[0] for state in states if state.maybe is not None}
            wanted = next(iter(asked | maybe), None)
        registers = self._registers.get(address, {})
        return Place(tuple(sorted(held, key=lambda h: h.site)), wanted, registers)

    def registers(self, address: int) -> Registers:
        """What registers hold before an instruction, on every way to it."""
        return self._registers.get(address, {})

    def ways(self, instruction: Instruction) -> list[int]:
        """Where the code goes on after an instruction."""
        return [there for there, _ in self._ways(instruction)]

    def entered_with(self, held: Held) -> tuple[Leak, ...]:
        """Ways that return with a lock which the caller had taken, where other ways give it back.

        :param held: as :attr:`kept` of the function that took it
        """
        walked = self._walk((held,), {}) if self.followed else None
        return () if walked is None else tuple(one for one in _leaks(*walked) if one.held == held)

    def omits(self, held: Held) -> tuple[Leak, ...]:
        """The same, of one that gives it back for good; whether it acts before it returns is told.

        Who only lets others in meanwhile has taken the lock again wherever it returns.
        """
        walked = self._walk((held,), {}, acting=True)
        returns, released = walked or ([], set())
        same = (held.kind, held.lock)
        if all(same in [(one.kind, one.lock) for one in back.held] for back in returns):
            return ()
        return tuple(one for one in _leaks(returns, released) if one.held == held)

    def _follow(self) -> None:
        """Follow every path: first the registers, then, with these known, the locks."""
        if not self.code:
            return
        whole = self._follow_registers()
        walked = self._walk((), self._states)
        if walked is None:
            self._states.clear()
            return
        returns, released = walked
        self.given = frozenset(self._given)
        self.followed = whole
        self.leaks = _leaks(returns, released)
        kept = [set(one.held) for one in returns]
        self.taken = frozenset(set().union(*kept))
        always = set.intersection(*kept) if kept else set()
        self.kept = tuple(held for held in always if held.site not in released)

    def _walk(
        self, held: tuple[Held, ...], states: dict[int, list[_State]], *, acting: bool = False
    ) -> tuple[list[_Return], set[int]] | None:
        """What is held at each return, and where what was given back had been taken.

        :param held: at the entry
        :param states: gets what is held before each instruction
        :param acting: tell ways that store to memory from those that do not
        :return: ``None`` if there are too many ways
        """
        waiting = [(self.start, _State(held, None), False)]
        returns: list[_Return] = []
        released: set[int] = set()
        seen: set[tuple[int, _State, bool]] = set()
        while waiting:
            one = waiting.pop()
            if one in seen:
                continue
            if len(seen) > MOST_STATES:
                return None
            seen.add(one)
            address, state, acts = one
            states.setdefault(address, []).append(state)
            instruction = self.code[address]
            after, ended = self._step(instruction, state, released)
            if ended:
                returns.append(_Return(address, after.held, acts, after.again))
            acts = acts or (acting and self._acts(instruction))
            for successor, taken in self._ways(instruction):
                if successor in self.code:
                    decided = _decided(after, instruction.mnemonic, taken=taken)
                    waiting.append((successor, decided, acts))
        return returns, released

    def _acts(self, instruction: Instruction) -> bool:
        """Whether it changes memory that is not the function's own stack."""
        if not stores(instruction) or counted(instruction, self._preempt_count) is not None:
            return False
        place = memory_place(instruction, self.registers(instruction.address))
        return place is None or place.base != FRAME

    def _follow_registers(self) -> bool:
        """What registers hold before each instruction, whichever way it was reached.

        :return: whether all ways could be followed
        """
        entry = {r: Expression(r, 0) for r in ARGUMENTS}
        entry |= {r: at_entry(r) for r in CALLEE_SAVED}
        entry["rsp"] = Expression(FRAME, -8 & MASK)
        waiting: list[tuple[int, Registers]] = [(self.start, entry)]
        whole = True
        while waiting:
            address, registers = waiting.pop()
            instruction = self.code.get(address)
            if instruction is None:
                whole = False
                continue
            known = self._registers.get(address)
            if known is not None:
                registers = {k: v for k, v in known.items() if registers.get(k) == v}
                if registers == known:
                    continue
            self._registers[address] = registers
            after = dict(registers)
            if instruction.mnemonic == "call":
                after_call(instruction, after)
            elif not instruction.mnemonic.startswith("j"):
                assign(instruction, after)
            whole = whole and not self._leaves(instruction)
            waiting += [(there, after) for there, _ in self._ways(instruction)]
        return whole

    def _ways(self, instruction: Instruction) -> list[tuple[int, bool]]:
        """Where the code goes on after an instruction, and whether by a jump."""
        name = instruction.mnemonic
        if name in _ENDS or instruction.address in self._ends:
            return []
        if name == "jmp":
            target = direct_target(instruction)
            return [(target, True)] if target is not None and target in self.code else []
        if name.startswith(("j", "loop")):
            target = direct_target(instruction)
            taken = [(target, True)] if target is not None else []
            return [*taken, (instruction.end, False)]
        return [(instruction.end, False)]

    def _add_parts(self, part_at: Callable[[int], tuple[int, bytes] | None] | None) -> None:
        """Add the parts that the code jumps to elsewhere."""
        rows = [row for row in self.code.values() if row.mnemonic.startswith("j")]
        for row in rows if part_at is not None else ():
            target = direct_target(row)
            part = part_at(target) if part_at and target and target not in self.code else None
            if part is not None:
                self.code |= decode(part[1], part[0])

    def _never_returns(self, instruction: Instruction) -> bool:
        """Whether it calls what does not return: what follows is no part of the way."""
        target = direct_target(instruction) if instruction.mnemonic == "call" else None
        return target is not None and self._name_of(target) in NEVER_RETURN

    def _leaves(self, instruction: Instruction) -> bool:
        """Whether it jumps to where it cannot be followed: a jump table, a part elsewhere."""
        if instruction.mnemonic != "jmp":
            return False
        target = direct_target(instruction)
        if target in self.code:
            return False
        called = self._name_of(target) if target is not None else None
        return called is None or called.endswith(".cold") or ".cold." in called

    def _step(
        self, instruction: Instruction, state: _State, released: set[int]
    ) -> tuple[_State, bool]:
        """What is held after an instruction, and whether the function returns with it."""
        name = instruction.mnemonic
        if name == "ret":
            return state, True
        if name in _ENDS:
            return state, False
        target = direct_target(instruction)
        if name == "jmp":
            if target in self.code or self._leaves(instruction):
                return state, False
            called = self._name_of(target) if target is not None else None
            if called in RETURN_THUNKS:
                return state, True
            return self._call(called, instruction, state, released), True
        if name == "call":
            called = self._name_of(target) if target is not None else None
            return self._call(called, instruction, state, released), False
        if name.startswith("j"):
            return state, False
        return self._switch(instruction, state, released), False

    def _switch(self, instruction: Instruction, state: _State, released: set[int]) -> _State:
        """Preemption or interrupts switched off or on, which is no call."""
        what = _SWITCHES.get(instruction.mnemonic)
        if what is None:
            change = counted(instruction, self._preempt_count)
            if change is None:
                return state
            what = ("preemption", change > 0, "preempt_disable")
            if abs(change) == _BOTTOM_HALVES_OFF:
                what = (BOTTOM_HALVES, change > 0, "local_bh_disable")
        kind, off, name = what
        if off:
            taken = Held(kind, None, instruction.address, name)
            if taken in state.held or len(state.held) >= _MOST_HELD:
                return state
            return state._replace(held=(*state.held, taken))
        match = next((h for h in reversed(state.held) if h.kind == kind), None)
        if match is None:
            return state
        released.add(match.site)
        return state._replace(held=tuple(h for h in state.held if h is not match))

    def _variable(self, called: str) -> Expression | None:
        """The lock of a function that is called without one."""
        name = VARIABLES[called]
        address = self._address_of(name) if name is not None and self._address_of else None
        return None if address is None else Expression("", address)

    def _call(
        self,
        called: str | None,
        instruction: Instruction,
        state: _State,
        released: set[int],
    ) -> _State:
        again = result_of(instruction.address)
        state = state._replace(maybe=None, back=_without(state.back, again.base))
        if called is None:
            return state
        registers = self.registers(instruction.address)
        target = direct_target(instruction)
        own = self._called_at(target) if self._called_at is not None and target else None
        if own is not None:
            return self._wrapped(
                wrapper(own, instruction.address, registers), instruction, state, released
            )
        own_lock = registers.get("rsi" if COUNTED.fullmatch(called) else "rdi")
        lock = self._variable(called) if called in VARIABLES else own_lock
        if called in RELEASES:
            left = self._release(state, instruction, (RELEASES[called], lock), released)
            return left._replace(held=still_off(state.held, left.held, called))
        kind = ACQUIRES.get(called)
        if called == BIT_LOCK and registers.get("rcx") == UNINTERRUPTIBLE:
            kind = "bit"
        if kind is not None:
            taken = Held(numbered(kind, registers), lock, instruction.address, called)
            if taken in state.held or len(state.held) >= _MOST_HELD:
                return state  # the same call again, in a loop
            return state._replace(held=(*state.held, taken), back=_still_back(state.back, taken))
        for table, zero in ((ACQUIRES_IF_ZERO, True), (ACQUIRES_UNLESS_ZERO, False)):
            if called in table:
                kind = numbered(table[called], registers)
                maybe = Held(kind, lock, instruction.address, called)
                return state._replace(maybe=(maybe, zero), back=_still_back(state.back, maybe))
        return state

    def _wrapped(
        self, does: Wrapper, call: Instruction, state: _State, released: set[int]
    ) -> _State:
        """What is held after a call of a function that takes locks for others, or gives them."""
        for given in does.gives:
            state = self._release(state, call, given, released)
        for taken in does.takes:
            if taken not in state.held and len(state.held) < _MOST_HELD:
                held, back = (*state.held, taken), _still_back(state.back, taken)
                state = state._replace(held=held, back=back)
        for maybe in does.may_take[:1]:
            state = state._replace(maybe=(maybe, True), back=_still_back(state.back, maybe))
        return state

    def _release(
        self,
        state: _State,
        call: Instruction,
        given: tuple[str, Expression | None],
        released: set[int],
    ) -> _State:
        """What is left after an unlock; of a lock that is open already it opens no other."""
        kind, lock = numbered(given[0], self.registers(call.address)), given[1]
        left = list(state.held)
        same = (h for h in reversed(left) if (h.kind, h.lock) == (kind, lock))
        match = next(same, None) if lock is not None else None
        if match is None and (kind, lock) in state.back:
            return state._replace(again=call.address)
        match = match or next((h for h in reversed(left) if _may_be(h, kind, lock)), None)
        if match is None:
            self._given.add((kind, lock))
            return state
        left.remove(match)
        released.add(match.site)
        back = state.back
        if lock is not None and kind in ONCE and not lock.base.startswith("["):
            back |= {(kind, lock)}
        kinds = {held.kind for held in left}
        back = frozenset(one for one in back if one[0] in kinds)
        return state._replace(held=tuple(left), back=back)


_ENDS = ("ret", "ud2", "int3", "hlt")
_BOTTOM_HALVES_OFF = 0x200  # include/linux/preempt.h: SOFTIRQ_DISABLE_OFFSET
_SWITCHES = {
    "cli": ("interrupts", True, "local_irq_disable"),
    "sti": ("interrupts", False, "local_irq_enable"),
}


def numbered(kind: str, registers: Registers) -> str:
    """A kind of lock; of a bit, the second argument says which one of the word it is."""
    number = registers.get("rsi") if kind == "bit" else None
    return f"{kind} {number.offset}" if number is not None and not number.base else kind


def _may_be(held: Held, kind: str, lock: Expression | None) -> bool:
    """Whether an unlock may be of that lock: where the code does not tell that it is another.

    Two members of one object are two locks; what comes from elsewhere may be the same.
    """
    if held.kind != kind:
        return False
    return held.lock is None or lock is None or held.lock.base != lock.base


def _without(
    back: frozenset[tuple[str, Expression]], base: str
) -> frozenset[tuple[str, Expression]]:
    """Without what comes from a call that is made anew."""
    return frozenset(one for one in back if one[1].base != base) if back else back


def _still_back(
    back: frozenset[tuple[str, Expression]], taken: Held
) -> frozenset[tuple[str, Expression]]:
    """Without what may be the lock that is taken."""
    return frozenset(
        (kind, lock)
        for kind, lock in back
        if not (taken.lock == lock or _may_be(taken, kind, lock))
    )


def _decided(state: _State, jump: str, *, taken: bool) -> _State:
    """The state behind an instruction: a branch on a call's result tells whether it took a lock."""
    if state.maybe is None:
        return state
    held, zero_means_taken = state.maybe
    if not jump.startswith("j") or jump == "jmp":
        return state
    if jump not in ("je", "jne", "jz", "jnz", "js", "jns"):
        return state._replace(maybe=None)
    zero = taken if jump in ("je", "jz", "jns") else not taken
    if zero == zero_means_taken and held not in state.held:
        return state._replace(held=(*state.held, held), maybe=None)
    return state._replace(maybe=None)


def _leaks(returns: list[_Return], released: set[int]) -> tuple[Leak, ...]:
    """Returns with a lock that other paths give back; a function that always keeps it means to."""
    found: dict[tuple[int, int], Leak] = {}
    # Of several ways to one return, one that acts.
    for address, held, acts, again in sorted(returns, key=lambda one: not one.acts):
        for lock in held:
            if lock.site in released:
                found.setdefault((lock.site, address), Leak(lock, address, acts, again))
    return tuple(found.values())
