"""Where the functions that are named stand in the source."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from drgn import FaultError
from handmade_facts import module, modules

from oopsight.evidence import Missing, Why
from oopsight.report import sources
from oopsight.report.sources import add_sources

NIC, CAM = 0xFFFFFFFFC0100000, 0xFFFFFFFFC0200000
KERNEL = 0xFFFFFFFF81000000
NAMES = {
    "nic_stop": [NIC + 0x40],
    "do_probe": [NIC + 0x80, CAM + 0x80, KERNEL],
    "reset": [NIC + 0x10, NIC + 0x20],
    "unlined": [NIC + 0xC0],
    "nic_find.constprop.0": [NIC + 0x40],
}
LINES = {
    NIC + 0x40: ("/usr/src/nic/nic.c", 31),
    CAM + 0x80: ("/usr/src/cam/cam.c", 7),
    KERNEL: ("/build/linux-6.1.192/drivers/base/dd.c", 512),
    NIC + 0x10: ("/usr/src/nic/nic.c", 1),
    NIC + 0x20: ("/usr/src/nic/nic.c", 2),
}


class Program:
    def symbols(self, name: str) -> list[Any]:
        if name == "not_in_dump":
            raise FaultError("not in the dump", NIC)
        return [SimpleNamespace(address=at) for at in NAMES.get(name, [])]

    def source_location(self, address: int) -> list[Any]:
        if address not in LINES:
            raise LookupError(address)
        name, line = LINES[address]
        return [SimpleNamespace(filename=name, line=line)]


def verdict(owner: str | None, function: str | None, source: str | None = None) -> dict[str, Any]:
    culprit = {"module": owner, "function": function, "source": source, "object": None}
    return {"culprit": dict(culprit), "culprits": [culprit | {"why": "left it on"}]}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sources, "load_debug_files", lambda _session, _addresses: True)
    return SimpleNamespace(prog=Program())


@pytest.mark.parametrize(
    ("owner", "function", "source"),
    [
        ("nic", "nic_stop", "/usr/src/nic/nic.c:31"),
        ("nic", "nic_find", "/usr/src/nic/nic.c:31"),
        ("cam", "do_probe", "/usr/src/cam/cam.c:7"),
        (None, "do_probe", "drivers/base/dd.c:512"),
        ("nic", "reset", None),  # two of the name: which of them is not known
        ("nic", "unlined", None),
        ("gone", "nic_stop", None),
        ("nic", "not_in_dump", None),
        ("nic", None, None),
    ],
)
def test_a_function_is_placed_where_its_module_has_it(
    session: Any, owner: str | None, function: str | None, source: str | None
) -> None:
    loaded = modules(module("nic", NIC, NIC + 0x1000), module("cam", CAM, CAM + 0x1000))
    told = verdict(owner, function)
    add_sources(told, session, loaded)
    assert [told["culprits"][0]["source"], told["culprit"]["source"]] == [source, source]


def test_what_a_frame_tells_stays_as_it_is(session: Any) -> None:
    told = verdict("nic", "nic_stop", "nic.c:35")
    add_sources(told, session, modules(module("nic", NIC, NIC + 0x1000)))
    assert told == verdict("nic", "nic_stop", "nic.c:35")


def test_nobody_is_placed_where_none_is_named_or_modules_are_unread(session: Any) -> None:
    nobody = {"culprit": None, "culprits": []}
    add_sources(nobody, session, modules())
    assert nobody == {"culprit": None, "culprits": []}
    told = verdict("nic", "nic_stop")
    add_sources(told, session, Missing(Why.UNREADABLE, "no list"))
    assert told == verdict("nic", "nic_stop")
