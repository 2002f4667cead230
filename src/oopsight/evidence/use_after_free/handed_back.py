"""A driver that gives up a packet or request, and answers that it has not taken it.

``NETDEV_TX_BUSY`` leaves the packet with the queueing discipline, an error status the request with
the block layer. If the driver has freed or ended it by then, they go on with what is gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from oopsight.cheap import dataclass
from oopsight.errors import SymbolError
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.backtrace import Backtrace
from oopsight.evidence.flow.data_flow import DataFlow
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.ownership import Ownership
from oopsight.kernel.given_up import gives_up_and_returns
from oopsight.kernel.machine_code import Expression
from oopsight.plumbing import base_name
from oopsight.session import Session
from oopsight.walk import MOST_DEVICES, each_once

PACKET, REQUEST = "packet", "request"
_PACKETS = "skbuff_"
_OF_REQUESTS = re.compile(r"_*blk_mq_\w+|blk_(?:update|finish|account|done|mq)_\w+|req_\w+")
_NEAR = 4
"""Frames from the fault on that tell what the kernel was at."""
_WAYS = 3
_BUSY = 0x10  # NETDEV_TX_BUSY
_ENDS = frozenset(("blk_mq_end_request", "blk_mq_complete_request"))
_HANDED = {
    PACKET: Expression("rdi", 0),
    # The request is the first member of the second argument.
    REQUEST: Expression("[rsi]", 0),
}


@dataclass(frozen=True)
class HandedBack:
    """What is gone, and who gave it up."""

    what: str
    """``packet`` or ``request``."""
    module: str
    functions: tuple[str, ...]


def collect(
    session: Session, backtrace: Backtrace, flow: DataFlow | Missing, modules: Modules
) -> HandedBack | Missing:
    """Look at the drivers' handlers, where the kernel alone came to a packet or request."""
    none = Missing(Why.NOT_APPLICABLE, "the kernel met no packet or request of a driver's")
    foreign = {module.name for module in modules.loaded if module.taints}
    if any(frame.module in foreign for frame in backtrace.crash_path):
        return none
    what = _met(backtrace, flow)
    if what is None:
        return none
    handlers = _transmitters(session) if what == PACKET else _queues(session)
    found: dict[str, list[str]] = {}
    for start in dict.fromkeys(handlers):
        module = modules.owner(start)
        if module is None or module.name not in foreign:
            continue
        code = Ownership(session, modules, module, ends=_ENDS)
        one = code.by_start.get(start)
        function = code.code(one) if one is not None else None
        if one is None or function is None:
            continue
        if gives_up_and_returns(function, _HANDED[what], code.does, _left_to_caller(what)):
            found.setdefault(module.name, []).append(base_name(one.name))
    if len(found) != 1:
        return Missing(Why.NOT_APPLICABLE, "no driver's handler gives up what it does not take")
    name, functions = next(iter(found.items()))
    return HandedBack(what, name, tuple(functions))


def _left_to_caller(what: str) -> Callable[[int | None], bool]:
    """Tells the answers of a handler that has not taken what it was handed."""
    return (lambda number: number == _BUSY) if what == PACKET else (lambda number: number != 0)


def _met(backtrace: Backtrace, flow: DataFlow | Missing) -> str | None:
    """What the kernel was at: a packet, by the caches of what it met, or a request."""
    ways = flow.ways[:_WAYS] if isinstance(flow, DataFlow) else ()
    held = [way.held_in.slab for way in ways if way.held_in is not None]
    bad = flow.bad.slab if isinstance(flow, DataFlow) and flow.bad is not None else None
    if any(one is not None and one.cache.startswith(_PACKETS) for one in (*held, bad)):
        return PACKET
    near = backtrace.crash_path[:_NEAR]
    return REQUEST if any(_OF_REQUESTS.fullmatch(base_name(f.function)) for f in near) else None


def _transmitters(session: Session) -> Iterator[int]:
    """Functions that send the packets of network devices."""
    from drgn import FaultError
    from drgn.helpers.linux.net import for_each_netdev

    try:
        for device in each_once(for_each_netdev(session.prog["init_net"]), MOST_DEVICES):
            yield device.netdev_ops.ndo_start_xmit.value_()
    except (FaultError, LookupError, AttributeError, SymbolError):
        return


def _queues(session: Session) -> Iterator[int]:
    """Functions that take the requests of disks."""
    from drgn import FaultError
    from drgn.helpers.linux.block import for_each_disk

    try:
        for disk in each_once(for_each_disk(session.prog), MOST_DEVICES):
            operations = disk.queue.mq_ops
            if operations:
                yield operations.queue_rq.value_()
    except (FaultError, LookupError, AttributeError, SymbolError):
        return
