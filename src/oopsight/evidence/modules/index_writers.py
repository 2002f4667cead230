"""Which functions of a module write to the field that an index was read from."""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.evidence import Missing, Why
from oopsight.evidence.flow.table_index import TableIndex
from oopsight.evidence.modules.modules import Modules
from oopsight.evidence.modules.state_writers import StateWriters, writers_of
from oopsight.session import Session


@dataclass(frozen=True)
class IndexWriters:
    """The field, who writes to it, and whether it is known to be wrong."""

    state: StateWriters
    beyond: bool
    """Whether the index led out of its table."""


def collect(session: Session, index: TableIndex, modules: Modules) -> IndexWriters | Missing:
    """Read the code of the module that used the index."""
    found = writers_of(session, index.way, modules)
    if found is None:
        return Missing(Why.NOT_APPLICABLE, "no other function of a module writes to the index")
    return IndexWriters(found, index.beyond)
