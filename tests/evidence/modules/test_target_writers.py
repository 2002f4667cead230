"""Who writes to the field that a bad function pointer was read from."""

from __future__ import annotations

import handmade_facts as made
import pytest
from handmade_session import Machine

from oopsight.evidence import Missing
from oopsight.evidence.modules import target_writers
from oopsight.evidence.modules.state_writers import StateWriters
from oopsight.evidence.modules.target_writers import TargetWriters, collect

TARGET = 0xFFFFFFFFC0509030
FLOW = made.data_flow(
    made.way(made.flow_step("loaded", "hub_poll", TARGET, "hub")), subject="target"
)


@pytest.mark.parametrize(("kind", "to_data"), [("module", True), ("kernel", True), ("user", False)])
def test_the_writers_and_whether_it_leads_to_data(
    monkeypatch: pytest.MonkeyPatch, kind: str, to_data: bool
) -> None:
    state = StateWriters("hub", FLOW.first, ("hub_select",))
    monkeypatch.setattr(target_writers, "writers_of", lambda *_: state)
    monkeypatch.setattr(target_writers, "owner_of", lambda *_: made.owner(TARGET, kind))
    assert collect(Machine().session, FLOW, made.modules()) == TargetWriters(state, to_data)


def test_nothing_is_said_of_other_values_or_where_nobody_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(target_writers, "writers_of", lambda *_: None)
    for flow in (
        FLOW,
        made.data_flow(FLOW.first),
        made.data_flow(made.way(made.flow_step("loaded", "hub_poll", 0)), subject="target"),
    ):
        assert isinstance(collect(Machine().session, flow, made.modules()), Missing)
