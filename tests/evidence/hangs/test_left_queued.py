"""Who puts away what it was handed, and sets nothing going at times."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handmade_code import ADDRESSES, NAMES, START, function

from oopsight.evidence.hangs.left_queued import left_queued

KNOWN = {**NAMES, START + 0x1400: "queue_work_on"}
READER: Any = SimpleNamespace(
    names=SimpleNamespace(function_at=KNOWN.get, code=lambda _: ("post", START, 0))
)
# rdi: the queue, rsi: the request
STORE = "488937"  # mov [rdi], rsi
ASK = "837f1002 7505"  # cmp dword [rdi+0x10], 2; jne past the call


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ((STORE, ASK, "call helper", "c3"), (START, START + 14)),
        ((STORE, "call helper", "c3"), None),  # always
        ((STORE, "c3"), None),  # never: others ask for what there is
        ((ASK, "call helper", "c3"), None),  # it is handed nothing that it keeps
        (("837f1000 7501 c3", STORE, "call helper", "c3"), None),  # it refuses it
        (("488936", ASK, "call helper", "c3"), None),  # mov [rsi], rsi: a list's own head
        ((STORE, ASK, "call __wake_up", "c3"), (START, START + 14)),
        ((STORE, "837f1002 7505", "call up", "c3"), None),
    ],
)
def test_a_function_that_puts_a_request_on_a_queue(
    code: tuple[str, ...], found: tuple[int, int] | None
) -> None:
    assert left_queued(READER, function(*code), set()) == found


def test_one_that_has_another_set_it_going() -> None:
    made = function(STORE, ASK, "call up", "c3")
    assert left_queued(READER, made, {ADDRESSES["up"]}) == (START, START + 14)
