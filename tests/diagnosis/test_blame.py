from __future__ import annotations

from dataclasses import replace

from handmade_facts import track

from oopsight.diagnosis.blame import track_culprits
from oopsight.evidence import Address
from oopsight.evidence.slab_tracks import TrackFrame


def test_what_called_the_module_that_freed_is_not_to_blame() -> None:
    freed = track("freed", "wdt_release", "wdt")
    pc = Address(0xFFFFFFFF81000010)
    outer = (
        TrackFrame(pc, "__fput", None, "dispatches"),
        TrackFrame(pc, "wdt_close", "wdt", None),
        TrackFrame(pc, "exit_to_user_mode_prepare", None, None),
    )
    found = track_culprits(replace(freed, frames=(*freed.frames, *outer)), "freed the object", 3)
    assert [(one.module, one.function) for one in found] == [
        ("wdt", "wdt_release"),
        ("wdt", "wdt_close"),
    ]
    assert track_culprits(None, "freed the object") == []
