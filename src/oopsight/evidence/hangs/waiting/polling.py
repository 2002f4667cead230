"""``napi_disable()``: it waits, without a limit, until a network device is not polled any more.

Whoever disables it leaves a bit set until it is enabled again. To disable it twice is to wait for
ever; and so it is where the function that polls has done with less than it was allowed to, and has
not said that it is complete: then the kernel does not call it again.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from oopsight.evidence import Address
from oopsight.evidence.hangs.waiting import Lock
from oopsight.evidence.hangs.waiting.scan import Scan, value
from oopsight.text import c_string, printable

FUNCTIONS = ("napi_disable", "napi_disable_locked")
KIND = "polling"
DISABLED = "which was disabled before"
UNFINISHED = "which its function has not said to be complete"
_NAPI = "struct napi_struct"
_SCHEDULED, _OWNED = 1 << 0, 1 << 3  # NAPIF_STATE_SCHED, NAPIF_STATE_NPSVC
_NOBODY = (1 << 32) - 1  # -1, of an int
_MOST_DEVICES = 10_000
_MOST_NAPIS = 1 << 14
"""Of all devices."""


def find(scan: Scan) -> Lock | None:
    """The ``struct napi_struct`` of a device, among what the stack's words lead to."""
    known = _napis(scan.prog)
    for _, word in scan.words():
        if word not in known:
            continue
        state = scan.memory(_NAPI, word, "state")
        if state is None or not value(state) & _SCHEDULED:
            continue
        listed = scan.memory(_NAPI, word, "poll_list.next")
        detail = None
        if value(state) & _OWNED:
            detail = DISABLED
        elif listed is not None and _at_rest(scan, word, value(listed)):
            detail = UNFINISHED
        because = (state, *((listed,) if listed is not None and detail == UNFINISHED else ()))
        return Lock(KIND, Address(word), f"of {known[word]}", because=because, detail=detail)
    return None


def _at_rest(scan: Scan, napi: int, following: int) -> bool:
    """Whether nobody polls it nor is to: ``list_del_init()`` leaves a link to itself."""
    offset = scan.offset(_NAPI, "poll_list")
    owner = scan.memory(_NAPI, napi, "poll_owner")
    if offset is None or following != napi + offset or owner is None:
        return False
    return value(owner) == _NOBODY


def _napis(prog: Any) -> dict[int, str]:
    """What is polled, by address, and the name of the device."""
    from drgn import FaultError

    found: dict[int, str] = {}
    try:
        for device in itertools.islice(_devices(prog), _MOST_DEVICES):
            name = printable(c_string(device.name))
            found |= dict.fromkeys(_of_device(device), name)
            if len(found) >= _MOST_NAPIS:
                break
    except (FaultError, LookupError, AttributeError):
        pass  # what was found before stands
    return found


def _devices(prog: Any) -> Iterator[Any]:
    from drgn.helpers.linux.net import for_each_net, for_each_netdev

    for net in for_each_net(prog):
        yield from for_each_netdev(net)


def _of_device(device: Any) -> Iterator[int]:
    from drgn.helpers.linux.list import list_for_each_entry

    entries = list_for_each_entry(_NAPI, device.napi_list.address_of_(), "dev_list")
    for napi in itertools.islice(entries, _MOST_NAPIS):
        yield napi.value_()
