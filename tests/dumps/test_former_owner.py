"""Whose the memory was, from what is left of unloaded modules in the dump alone."""

from __future__ import annotations

from drgn import FaultError
from lab_dumps import Maker, analysed

from oopsight.evidence import Evidence
from oopsight.evidence.modules.former_owner import FormerOwner
from oopsight.kernel.free_pages import for_each_free_page
from oopsight.kernel.module_remains import MOST_PAGES, PAGE
from oopsight.report.verify import Verifier
from oopsight.session import Session, open_session

_POISON = bytes.fromhex("22010000 0000adde")  # LIST_POISON2, before a module's name


def test_of_two_unloaded_modules_the_first_is_shown_to_be_the_owner(maker: Maker) -> None:
    """As far as the dump still has them: the pages of both are free, and may be used again."""
    dump = maker.get(("work-of-first-unloaded", "6.1", "qmp"))
    session = open_session(dump.vmcore, own_symbols=True)
    owner = Evidence(session).get(FormerOwner)
    assert isinstance(owner, FormerOwner)
    first, last = (_is_left(session, name) for name in ("psumon", "ledmap"))
    # Without a description of either, it is the one that the kernel names: the last.
    assert owner.module == ("psumon" if first or last else "ledmap")
    assert owner.elsewhere == (("ledmap",) if last else ())
    # What is left of its symbols excludes the other as well.
    assert owner.sure == (first and (last or owner.symbol is not None))
    assert {m.member for m in owner.description} == ({"name", "core_layout"} if first else set())
    assert Verifier(session).verify(analysed(session)) > 0


def _is_left(session: Session, name: str) -> bool:
    sought = _POISON + name.encode() + b"\0"
    for page in for_each_free_page(session.prog, MOST_PAGES):
        try:
            if sought in session.prog.read(page, PAGE):
                return True
        except FaultError:  # left out of the dump
            continue
    return False


def test_a_symbol_table_that_is_left_names_the_functions(maker: Maker) -> None:
    dump = maker.get(("work-after-unload", "6.1", "qmp"))
    owner = Evidence(open_session(dump.vmcore, own_symbols=True)).get(FormerOwner)
    assert isinstance(owner, FormerOwner)
    assert (owner.symbol, owner.function, owner.exit) == ("replog_flush", True, "replog_exit")
    assert owner.source == "what is left of its symbol table"


def test_no_file_is_looked_for_where_the_dump_alone_is_to_be_used(maker: Maker) -> None:
    dump = maker.get(("procfile-after-unload", "6.1", "qmp"))
    owner = Evidence(open_session(dump.vmcore, own_symbols=True)).get(FormerOwner)
    assert isinstance(owner, FormerOwner)
    assert (owner.module, owner.symbol) == ("dbstat", None)
