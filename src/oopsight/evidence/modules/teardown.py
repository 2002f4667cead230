"""Which function the kernel calls to undo what another one has done: the two stand in one table.

Not a fact by itself: collectors that look for who ought to have given something back ask it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oopsight.cheap import dataclass
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import named, tables_with
from oopsight.evidence.modules.modules import Module
from oopsight.session import Session

# The structure, who makes, and who undoes it.
_PAIRS = (
    ("struct file_operations", "open", "release"),
    ("struct proc_ops", "proc_open", "proc_release"),
    ("struct vm_operations_struct", "open", "close"),
    ("struct block_device_operations", "open", "release"),
    ("struct tty_operations", "open", "close"),
    ("struct net_device_ops", "ndo_open", "ndo_stop"),
    ("struct net_device_ops", "ndo_init", "ndo_uninit"),
    ("struct platform_driver", "probe", "remove"),
    ("struct pci_driver", "probe", "remove"),
    ("struct virtio_driver", "probe", "remove"),
    ("struct usb_driver", "probe", "disconnect"),
    ("struct i2c_driver", "probe", "remove"),
    ("struct spi_driver", "probe", "remove"),
    ("struct hid_driver", "probe", "remove"),
    ("struct auxiliary_driver", "probe", "remove"),
    ("struct device_driver", "probe", "remove"),
)


@dataclass(frozen=True)
class Undoer:
    """What stands in the same table."""

    table: str
    """The structure."""
    member: str
    """Of the structure, that it stands in."""
    address: int
    """The function, 0 for none."""


def undoers(session: Session, module: Module, start: int) -> Iterator[Undoer]:
    """Functions that undo what the one at an address does, by all tables of the module with it."""
    tables = tables_with(session, module, start)
    for table, makes, undoes in _PAIRS if tables else ():
        layout = _layout(session.prog, table, makes, undoes)
        if layout is None:
            continue
        size, making, undoing = layout
        for begin in tables:
            if _size(session.prog, begin) == size and _word(session, begin + making) == start:
                yield Undoer(table, undoes, _word(session, begin + undoing) or 0)


def unbinding(
    session: Session,
    module: Module,
    probes: list[ModuleFunction],
    code: list[ModuleFunction],
    stops: tuple[str, ...],
) -> tuple[str, ...]:
    """Names of those that the kernel calls before it frees what a probe has of it.

    :param probes: functions that have memory of the kernel
    :param code: all of the module's
    :param stops: functions that end what met the memory then: these have done what they had to
    """
    at = {one.address for probe in probes for one in undoers(session, module, probe.start)}
    names = named(one for one in code if one.start in at)
    return tuple(name for name in names if name not in stops)


def _layout(prog: Any, table: str, makes: str, undoes: str) -> tuple[int, int, int] | None:
    from drgn import offsetof, sizeof

    from oopsight.errors import SymbolError

    try:
        kind = prog.type(table)
        return sizeof(kind), offsetof(kind, makes), offsetof(kind, undoes)
    except (LookupError, SymbolError, TypeError, ValueError):
        return None


def _size(prog: Any, begin: int) -> int | None:
    """Of the variable that begins at an address."""
    try:
        symbol = prog.symbol(begin)
    except LookupError:
        return None
    return int(symbol.size) if symbol.address == begin else None


def _word(session: Session, address: int) -> int | None:
    from drgn import FaultError

    try:
        return int.from_bytes(session.read(address, 8), "little")
    except (FaultError, OverflowError):
        return None
