"""Whose the memory was, from what is left of unloaded modules in the dump alone."""

from __future__ import annotations

from lab_dumps import Maker, analysed

from oopsight.evidence import Evidence
from oopsight.evidence.modules.former_owner import FormerOwner
from oopsight.report.verify import Verifier
from oopsight.session import open_session


def test_of_two_unloaded_modules_the_first_is_shown_to_be_the_owner(maker: Maker) -> None:
    dump = maker.get(("work-of-first-unloaded", "6.1", "qmp"))
    session = open_session(dump.vmcore, own_symbols=True)
    owner = Evidence(session).get(FormerOwner)
    assert isinstance(owner, FormerOwner)
    assert (owner.module, owner.sure, owner.elsewhere) == ("psumon", True, ("ledmap",))
    assert {memory.member for memory in owner.description} == {"name", "core_layout"}
    assert Verifier(session).verify(analysed(session)) > 0


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
