"""Who writes to the field that an index was read from."""

from __future__ import annotations

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.flow.table_index import TableIndex
from oopsight.evidence.modules import index_writers
from oopsight.evidence.modules.index_writers import IndexWriters, collect
from oopsight.evidence.modules.state_writers import StateWriters

INDEX = TableIndex(made.way(made.flow_step("loaded", "fan_tick", 7, "fan")), beyond=True)


def test_the_writers_and_whether_it_led_out(monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateWriters("fan", INDEX.way, ("fan_set_mode",))
    monkeypatch.setattr(index_writers, "writers_of", lambda *_: state)
    found = collect(Machine().session, INDEX, made.modules())
    assert found == IndexWriters(state, beyond=True)
    monkeypatch.setattr(index_writers, "writers_of", lambda *_: None)
    assert isinstance(collect(Machine().session, INDEX, made.modules()), Missing)
