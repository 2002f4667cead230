"""What a task waits for that is on no list."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from handmade_waits import call, stack

from oopsight.evidence.hangs.waiting.event import find
from oopsight.evidence.hangs.waiting.scan import Scan

PROCESS_TIMEOUT = 0xFFFFFFFF81100000


def scan(words: list[int], *functions: str) -> Scan:
    """A task that sleeps in these functions, with these words on its stack."""
    made = SimpleNamespace(
        prog=SimpleNamespace(symbol=lambda _: SimpleNamespace(address=PROCESS_TIMEOUT)),
        stack=stack(1, *(call(i, name, module=None) for i, name in enumerate(functions))),
        words=lambda: iter(enumerate(words)),
        shape=lambda *_: None,
        offset=lambda *_: None,
    )
    return cast("Scan", made)


@pytest.mark.parametrize(
    ("words", "functions", "kind"),
    [
        ([1, PROCESS_TIMEOUT], ("schedule", "schedule_timeout", "drv_poll"), "time"),
        ([1, 2], ("schedule", "schedule_timeout", "dma_fence_default_wait"), "event"),
        ([1, 2], ("schedule", "schedule_hrtimeout_range", "usleep_range"), "time"),
        ([1, 2], ("schedule", "schedule_timeout", "io_schedule_timeout"), "io"),
    ],
)
def test_without_a_timer_somebody_has_to_wake_it(
    words: list[int], functions: tuple[str, ...], kind: str
) -> None:
    found = find(scan(words, *functions))
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(("module", "kind"), [("drv", "event"), (None, None)])
def test_a_module_that_sleeps_without_a_queue(module: str | None, kind: str | None) -> None:
    made = scan([1, 2])
    inside = call(0, "__schedule", module=None), call(1, "schedule", module=None)
    made.stack = stack(1, *inside, call(2, "drv_scan", module=module))
    found = find(made)
    assert (found.kind if found is not None else None) == kind
