"""What the kernel's list check (CONFIG_DEBUG_LIST) reported, and what the addresses in it are."""

from __future__ import annotations

import re

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.crash.log import Log
from oopsight.evidence.memory.owner import Owner, owner_of
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.pointers import LogPointer
from oopsight.session import Session

# lib/list_debug.c: "list_del corruption. prev->next should be %px, but was %px. (prev=%px)" and
# its kin; older kernels have no full stop or parenthesis at places.
_REPORT = re.compile(
    r"list_(?P<operation>add|del) (?P<what>corruption|double add)[.:,]? ?(?P<rest>.*)"
)
_EXPECTED = re.compile(
    r"(?P<field>(?:prev|next)->(?:prev|next)) should be (?:prev |next )?\(?"
    r"(?P<should>[0-9a-f]{8,16})\)?,? but was (?:NULL|(?P<was>[0-9a-f]{8,16}))"
)
_POISONED = re.compile(
    r"(?P<entry>[0-9a-f]{8,16})->(?P<field>next|prev) is (?:NULL|LIST_POISON(?P<which>[12]))"
)
_NAMED = re.compile(r"\b(?P<name>prev|next|new|entry)=(?P<value>[0-9a-f]{8,16})")


@dataclass(frozen=True)
class ListEntry:
    """An address in the report."""

    role: str
    """``entry``, ``prev``, ``next``, ``new``, ``was`` (what a pointer held) or ``should``."""
    owner: Owner


@dataclass(frozen=True)
class ListReport:
    """The check's own words."""

    operation: str
    """``add`` or ``del``."""
    text: LogPointer
    field: str | None
    """The pointer that was wrong, ``prev->next``."""
    poison: str | None
    """``LIST_POISON1`` or ``LIST_POISON2`` where the entry had been deleted before."""
    double_add: bool
    entries: tuple[ListEntry, ...]

    def entry(self, role: str) -> ListEntry | None:
        """The first address of a role."""
        return next((entry for entry in self.entries if entry.role == role), None)


def parse(text: str) -> tuple[str, str | None, str | None, bool, dict[str, int]] | None:
    """Operation, field, poison, whether the entry was added twice, and the addresses by role.

    >>> parse("list_del corruption, ffff888000000000->next is LIST_POISON1 (dead000000000100)")
    ('del', 'next', 'LIST_POISON1', False, {'entry': 18446612682070032384})
    """
    report = _REPORT.search(text)
    if report is None:
        return None
    rest = report["rest"]
    addresses = {match["name"]: int(match["value"], 16) for match in _NAMED.finditer(rest)}
    field = poison = None
    expected, poisoned = _EXPECTED.search(rest), _POISONED.search(rest)
    if expected is not None:
        field = expected["field"]
        addresses["should"] = int(expected["should"], 16)
        addresses["was"] = int(expected["was"] or "0", 16)
    elif poisoned is not None:
        field = poisoned["field"]
        addresses["entry"] = int(poisoned["entry"], 16)
        poison = f"LIST_POISON{poisoned['which']}" if poisoned["which"] else None
    return report["operation"], field, poison, report["what"] == "double add", addresses


def _add_neighbour(
    session: Session, operation: str, field: str | None, addresses: dict[str, int]
) -> None:
    """The neighbour that was looked at, where the report does not tell it: before Linux 5.14.

    The entry itself still leads to it.
    """
    from drgn import FaultError

    role = (field or "").partition("->")[0]
    if operation != "del" or role not in ("prev", "next") or role in addresses:
        return
    entry = addresses.get("should")
    if entry is None:
        return
    try:
        found = session.read(entry + (8 if role == "prev" else 0), 8)
    except FaultError:
        return
    addresses[role] = int.from_bytes(found, "little")


def collect(session: Session, log: Log, modules: Modules | Missing) -> ListReport | Missing:
    """Find the report and say what its addresses are."""
    for line in log.lines:
        found = parse(line.text)
        if found is None:
            continue
        operation, field, poison, double, addresses = found
        known = None if isinstance(modules, Missing) else modules
        _add_neighbour(session, operation, field, addresses)
        return ListReport(
            operation=operation,
            text=line,
            field=field,
            poison=poison,
            double_add=double,
            entries=tuple(
                ListEntry(role, owner_of(session, known, value))
                for role, value in addresses.items()
            ),
        )
    return Missing(Why.NOT_APPLICABLE, "the log holds no report of a corrupted list")
