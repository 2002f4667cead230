"""A workqueue that was destroyed and is handed to the kernel again.

Its memory stays for a while, as readers under RCU may have it; but the kernel's list of all
workqueues does not lead to it any more.
"""

from __future__ import annotations

import itertools
import re

from oopsight.errors import SymbolError
from oopsight.plumbing import base_name
from oopsight.session import Session

_TAKES_ONE = re.compile(
    r"_*(?:queue_(?:delayed_|rcu_)?work|mod_delayed_work|flush_workqueue|drain_workqueue)\w*"
)
_MOST = 10_000


def is_dead(session: Session, called: str, address: int) -> bool:
    """Whether a function was handed a workqueue that the kernel does not know.

    :param called: the function's name
    :param address: what it was handed, of the slab allocator's memory
    """
    from drgn import FaultError, Object
    from drgn.helpers.linux.list import list_for_each_entry

    if _TAKES_ONE.fullmatch(base_name(called)) is None:
        return False
    try:
        # kernel/workqueue.c
        head: Object = session.prog["workqueues"].address_of_()
        walk = list_for_each_entry("struct workqueue_struct", head, "list")
        known = [one.value_() for one in itertools.islice(walk, _MOST)]
    except (FaultError, LookupError, AttributeError, SymbolError):
        return False
    return bool(known) and len(known) < _MOST and address not in known
