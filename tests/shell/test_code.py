"""drgn code gets the imports that it needs, once."""

from __future__ import annotations

from oopsight.shell.code import indented, with_imports


def test_helpers_that_are_called_are_imported() -> None:
    code = with_imports("task = find_task(prog, 1)\nprint(d_path(Object(prog, 'int', 1)))")
    assert code == (
        "from drgn import Object\n"
        "from drgn.helpers.linux import d_path, find_task\n"
        "\n"
        "task = find_task(prog, 1)\n"
        "print(d_path(Object(prog, 'int', 1)))\n"
    )


def test_imports_of_its_own_come_first() -> None:
    code = with_imports("\nfrom itertools import chain\n\nprint(chain(for_each_task(prog)))")
    assert code.splitlines()[:3] == [
        "from itertools import chain",
        "from drgn.helpers.linux import for_each_task",
        "",
    ]


def test_code_without_helpers_stays_as_it_is() -> None:
    assert with_imports("print(prog.platform)") == "print(prog.platform)\n"


def test_a_body_is_indented_but_for_empty_lines() -> None:
    assert indented("\na\n\nb\n") == "    a\n\n    b"
