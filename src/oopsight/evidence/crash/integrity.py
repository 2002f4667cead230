"""Whether the dump has holes where none may be: a sample of pages that every dump must hold.

The kernel's text is never filtered out. Where some of it cannot be read the file is damaged, and
what is not found in such a dump may have been lost with it.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Address, Missing, Why
from oopsight.session import Session

SAMPLES = 96
_PAGE = 4096


@dataclass(frozen=True)
class Integrity:
    """What became of the sample."""

    sampled: int
    unreadable: tuple[Address, ...]
    problems: tuple[str, ...]
    """What the file's own headers say is wrong: cut off, incomplete."""

    @property
    def whole(self) -> bool:
        """Whether nothing is known to be lost."""
        return not self.unreadable and not self.problems


def collect(session: Session) -> Integrity | Missing:
    """Read pages of the kernel's text at even distances."""
    from drgn import FaultError

    try:
        begin = session.prog.symbol("_stext").address
        end = session.prog.symbol("_etext").address
    except LookupError:
        return Missing(Why.NO_SYMBOLS, "where the kernel's text lies is not known")
    pages = range((begin + _PAGE - 1) & -_PAGE, end - _PAGE, _PAGE)
    chosen = pages[:: max(1, len(pages) // SAMPLES)]
    unreadable = []
    for page in chosen:
        try:
            data = session.read(page, _PAGE)
        except FaultError:
            unreadable.append(Address(page))
            continue
        if not any(data):
            unreadable.append(Address(page))
    return Integrity(len(chosen), tuple(unreadable), tuple(session.info.problems))
