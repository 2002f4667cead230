"""Keys typed behind a line, before its command began."""

from __future__ import annotations

from typing import Any

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.input.typeahead import get_typeahead, store_typeahead
from prompt_toolkit.key_binding import KeyPress
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import DummyOutput

from oopsight.shell.prompt import _interrupted


@pytest.mark.parametrize(
    ("keys", "interrupted"),
    [([], False), (["p", "s"], False), (["p", Keys.ControlC, "s"], True)],
)
def test_ctrl_c_is_the_lines_and_other_keys_the_nexts(keys: list[Any], interrupted: bool) -> None:
    with create_pipe_input() as pipe:
        session: PromptSession[str] = PromptSession(input=pipe, output=DummyOutput())
        store_typeahead(pipe, [KeyPress(key) for key in keys])
        assert _interrupted(session) is interrupted
        left = [press.key for press in get_typeahead(pipe)]
        assert left == ([] if interrupted else keys)
