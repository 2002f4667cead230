"""What code goes on to give back or signal."""

from __future__ import annotations

from handmade_code import NAMES, START, function

from oopsight.kernel.code_ahead import Gift, ahead, resolve
from oopsight.kernel.code_locks import Function
from oopsight.kernel.held_locks import Place
from oopsight.kernel.machine_code import Expression

# cam_boot(struct work_struct *work): work lies 0x40 into its device, the completion 0x20.
BOOT = (
    "53 488d5fc0 4889df",  # push rbx; lea rbx, [rdi - 0x40]; mov rdi, rbx
    "call mutex_lock",  # returns to 0xd
    "4889df",
    "call mutex_unlock",
    "488d7b20 5b",  # lea rdi, [rbx + 0x20]; pop rbx
    "jmp complete",
)
IN_LOCK = START + 0xD
DEVICE = 0xFFFF888000001000


def place(code: Function, address: int) -> Place:
    found = code.at(address, calling=True)
    assert found is not None
    return found


def test_what_a_tail_call_will_complete_is_known_from_a_saved_register() -> None:
    code = function(*BOOT)
    (gift,) = ahead(code, IN_LOCK, NAMES.get)
    assert (gift.kind, gift.by) == ("completion", "complete")
    values = {"rbx": DEVICE}
    assert resolve(gift.thing, place(code, IN_LOCK), values.get, {}.get) == DEVICE + 0x20
    assert resolve(gift.thing, place(code, IN_LOCK), {}.get, {}.get) is None


# pgs_fill(): unlocks stage->page, which it loads anew; pgs_drop() is behind another lock of it.
FILL = (
    "53 4889fb",
    "call helper",  # returns to 0x9
    "488b3b",  # mov rdi, [rbx]
    "call unlock_page",
    "5b c3",
)


def test_what_is_loaded_later_is_read_from_memory() -> None:
    code = function(*FILL)
    (gift,) = ahead(code, START + 9, NAMES.get)
    assert gift.kind == "page"
    memory = {DEVICE: 0xFFFFEA0000123400}
    where = place(code, START + 9)
    assert resolve(gift.thing, where, {"rbx": DEVICE}.get, memory.get) == 0xFFFFEA0000123400
    assert resolve(gift.thing, where, {"rbx": DEVICE}.get, {}.get) is None


def test_what_is_locked_only_further_on_is_not_held_yet() -> None:
    code = function("53 4889fb", "call helper", "488b3b", "call __lock_page", *FILL[2:])
    assert ahead(code, START + 9, NAMES.get) == ()
    # Behind the call that locks it, it is.
    assert len(ahead(code, START + 9 + 8, NAMES.get)) == 1


def test_an_inline_attempt_to_lock_a_page_counts_as_locking() -> None:
    bts = "f0480fba2f00"  # lock bts qword [rdi], 0
    code = function("53 4889fb", "call helper", "488b3b", bts, "90", *FILL[2:])
    assert ahead(code, START + 9, NAMES.get) == ()


def test_loads_within_loads_and_constants_are_resolved() -> None:
    code = function(*FILL)
    where = place(code, START + 9)
    memory = {0xFFFFFFFFC0102000: DEVICE, DEVICE + 8: 0x1000}
    thing = Expression("[[0xffffffffc0102000]+0x8]", 0x10)
    assert resolve(thing, where, {}.get, memory.get) == 0x1010
    assert resolve(Expression("[[rdi]+what", 0), where, {}.get, memory.get) is None


def test_a_circle_of_code_ends() -> None:
    assert ahead(function("ebfe"), START, NAMES.get) == ()


def test_of_a_function_that_is_yet_to_be_called_the_arguments_tell() -> None:
    code = function(*BOOT)
    (gift,) = ahead(code, START, NAMES.get)
    arguments = {"rdi": DEVICE + 0x40}
    found = resolve(gift.thing, Place((), None, {}), {}.get, {}.get, arguments)
    assert found == DEVICE + 0x20


def test_what_a_function_that_is_called_gives_is_given_to_its_callers_thing() -> None:
    # helper(&chip->bus), which wakes the queue at 0x8 of what it is given
    code = function("53 488d7f20", "call helper", "5b c3")
    inner = Gift("event", Expression("rdi", 8), START, "__wake_up")
    (found,) = ahead(code, START, NAMES.get, lambda at: (inner,) if NAMES[at] == "helper" else ())
    assert found == Gift("event", Expression("rdi", 0x28), START + 5, "__wake_up")
    assert not ahead(code, START, NAMES.get)
