"""Who clears a field and goes on with what uses it, on code assembled by hand."""

from __future__ import annotations

from dataclasses import replace

import handmade_facts as made
from handmade_machine import Machine as Code

from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.unstopped import clearing_unstopped

STOP = "del_timer_sync"
TRACE = made.backtrace(tg_sample=made.Role.FAULT, call_timer_fn=made.Role.CALLER)
CLEAR = "48c7472000000000"  # mov qword ptr [rdi + 0x20], 0


def call(number: int, at: int, target: int) -> str:
    """A call in the function of a number, at an offset, of another one."""
    distance = (target - number) * 0x1000 - at - 5
    return "e8" + (distance & 0xFFFFFFFF).to_bytes(4, "little").hex()


def found(
    codes: list[str], cleared: dict[str, tuple[int, ...]], calls: dict[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """The last one of the codes is the function that stops the timer.

    :param cleared: offsets behind the stores
    """
    machine = Code(*codes, "c3")
    machine.names = [*calls, STOP]
    code = [
        ModuleFunction(
            name,
            machine.start(number),
            frozenset(called),
            frozenset(),
            copies=False,
            own=frozenset(set(called) - {STOP}),
        )
        for number, (name, called) in enumerate(calls.items())
    ]
    starts = {one.name: one.start for one in code}
    places = {name: [starts[name] + at for at in ats] for name, ats in cleared.items()}
    return clearing_unstopped(machine, TRACE, places, code)


def test_another_stops_it_first() -> None:
    codes = [call(0, 0, 2) + CLEAR + "c3", CLEAR + "c3"]
    cleared = {"tg_stop": (13,), "tg_leave": (8,)}
    assert found(codes, cleared, {"tg_stop": (STOP,), "tg_leave": ()}) == ("tg_leave",)
    # Nobody stops it.
    assert found([CLEAR + "c3"] * 2, {"tg_stop": (8,), "tg_leave": (8,)},
                 {"tg_stop": (), "tg_leave": ()}) == ()  # fmt: skip


def test_one_function_does_both() -> None:
    # test esi,esi; je 1f; call del_timer_sync; [rdi+0x20] = 0; ret; 1: [rdi+0x20] = 0; ret
    both = "85f6 740e".replace(" ", "") + call(0, 4, 1) + CLEAR + "c3" + CLEAR + "c3"
    assert found([both], {"tg_ioctl": (17, 26)}, {"tg_ioctl": (STOP,)}) == ("tg_ioctl",)
    # It calls another on the way without.
    calls = "85f6 740e".replace(" ", "") + call(0, 4, 2) + CLEAR + "c3" + call(0, 18, 1) + "c3"
    cleared = {"tg_ioctl": (17,), "tg_leave": (8,)}
    names = {"tg_ioctl": (STOP, "tg_leave"), "tg_leave": ()}
    assert found([calls, CLEAR + "c3"], cleared, names) == ("tg_leave",)


def test_of_a_helper_who_calls_it_without() -> None:
    codes = [CLEAR + "c3", call(1, 0, 3) + call(1, 5, 0) + "c3", call(2, 0, 0) + "c3"]
    names = {"tg_drop": (), "tg_stop": (STOP, "tg_drop"), "tg_leave": ("tg_drop",)}
    assert found(codes, {"tg_drop": (8,)}, names) == ("tg_leave",)


def test_what_nobody_can_stop() -> None:
    trace = replace(TRACE, frames=made.backtrace(tg_read=made.Role.FAULT).frames)
    assert clearing_unstopped(Code(CLEAR), trace, {"tg_leave": [0]}, []) == ()
