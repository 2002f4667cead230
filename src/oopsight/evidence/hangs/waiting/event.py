"""``wait_event()`` and its kin: a wait queue whose condition is not fulfilled."""

from __future__ import annotations

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Lock, grace_period
from oopsight.evidence.hangs.waiting.scan import Scan, value
from oopsight.evidence.pointers import Memory

FUNCTIONS = ("schedule", "schedule_timeout*", "io_schedule*", "schedule_preempt_disabled")
FALLBACK = True
"""Every sleeping task is in one of these; the other kinds are asked first."""
_PAGES = ("folio_wait*", "__folio_lock*", "wait_on_page*", "__lock_page*", "filemap_update_page")
_EXPEDITED = ("synchronize_rcu_expedited", "rcu_sync_enter")
_BITS = ("out_of_line_wait_on_bit*", "__wait_on_bit*", "__wait_on_buffer", "__lock_buffer")


def find(scan: Scan) -> Lock | None:
    """The queue that the task's ``struct wait_queue_entry`` is on; its use tells a page or bit."""
    shape = scan.shape("struct wait_queue_entry", "private", "entry")
    offset = scan.offset("struct wait_queue_head", "head")
    if shape is not None and offset is not None:
        for waiter in scan.waiters(shape):
            head = scan.head(shape, waiter.node)
            if head is None:
                continue
            address = head - offset
            because = _proof(scan, waiter.address, address)
            if because and scan.stack.inside(*_EXPEDITED):
                return grace_period.of_rcu(scan, address, because[0])
            if scan.stack.inside(*_PAGES):
                return _page(scan, waiter.address, because) or Lock("page", None, None)
            if scan.stack.inside(*_BITS):
                return _bit(scan, waiter.address, because) or Lock("bit", None, None)
            return Lock("event", Address(address), scan.name(address), because=because)
    if scan.stack.inside("io_schedule*"):
        return Lock("io", None, None)
    if scan.stack.inside("msleep*", "usleep*", "do_nanosleep"):
        return Lock("time", None, None)
    if scan.stack.inside("schedule_timeout*"):
        # Without a timer of its own it sleeps until somebody wakes it.
        return Lock("time", None, None) if _timed(scan) else Lock("event", None, "without a queue")
    caller = next((one for one in scan.stack.calls if not _sleeps(one.function)), None)
    if caller is not None and caller.module is not None:
        return Lock("event", None, "without a queue")
    return None


def _sleeps(function: str) -> bool:
    return function.lstrip("_").startswith("schedule")


def _timed(scan: Scan) -> bool:
    """Whether ``schedule_timeout()`` has set a timer, which lies on the task's stack."""
    try:
        function = scan.prog.symbol("process_timeout").address
    except LookupError:
        return True
    return any(word == function for _, word in scan.words())


def _proof(scan: Scan, waiter: int, queue: int) -> tuple[Memory, ...]:
    memories = (
        scan.memory("struct wait_queue_entry", waiter, "private"),
        scan.memory("struct wait_queue_head", queue, "head"),
    )
    return tuple(memory for memory in memories if memory is not None)


def _page(scan: Scan, waiter: int, because: tuple[Memory, ...]) -> Lock | None:
    """The page that the entry is enclosed with; the queue is shared by all of the same hash."""
    entry = scan.offset("struct wait_page_queue", "wait")
    if entry is None:
        return None
    for member in ("folio", "page"):  # Linux 5.16 (commit df4d4f127394) renamed it.
        link = scan.memory("struct wait_page_queue", waiter - entry, member)
        if link is not None and value(link):
            page = Address(value(link))
            if _writeback(scan, waiter - entry):
                return Lock("writeback", page, f"of page {page}", because=(link, *because))
            return Lock("page", page, None, because=(link, *because))
    return None


def _writeback(scan: Scan, queue: int) -> bool:
    """Whether the end of writing a page back is waited for, not its lock."""
    number = scan.memory("struct wait_page_queue", queue, "bit_nr")
    try:
        flag = scan.prog["PG_writeback"].value_()
    except LookupError:
        return False
    return number is not None and value(number) == flag


def _bit(scan: Scan, waiter: int, because: tuple[Memory, ...]) -> Lock | None:
    """The word and bit in the key that the entry is enclosed with."""
    entry = scan.offset("struct wait_bit_queue_entry", "wq_entry")
    word = scan.memory("struct wait_bit_queue_entry", waiter - (entry or 0), "key.flags")
    number = scan.memory("struct wait_bit_queue_entry", waiter - (entry or 0), "key.bit_nr")
    if entry is None or word is None or number is None or not value(word):
        return None
    name = scan.name(value(word))
    where = f"{value(number)} of {name or Address(value(word))}"
    return Lock(
        kind="bit",
        address=Address(value(word)),
        name=where,
        because=(word, number, *because),
        bit=value(number),
    )
