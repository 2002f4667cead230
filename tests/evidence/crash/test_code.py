from __future__ import annotations

from pathlib import Path

import pytest

from oopsight.evidence.crash.code import CONTEXT_LINES, source_lines


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "linux" / "lib").mkdir(parents=True)
    lines = [f"\tline {number};" for number in range(1, 41)]
    (tmp_path / "linux" / "lib" / "vsprintf.c").write_text("\n".join(lines))
    (tmp_path / "secret.c").write_text("secret\n" * 40)
    return tmp_path / "linux"


def test_lines_around_the_fault(tree: Path) -> None:
    lines = source_lines(tree, "lib/vsprintf.c:20")
    assert [line.number for line in lines] == list(range(20 - CONTEXT_LINES, 21 + CONTEXT_LINES))
    assert [line.text for line in lines if line.faulted] == ["        line 20;"]


@pytest.mark.parametrize(("at", "first", "last"), [(1, 1, 6), (40, 35, 40)])
def test_at_the_ends_of_the_file(tree: Path, at: int, first: int, last: int) -> None:
    lines = source_lines(tree, f"lib/vsprintf.c:{at}")
    assert (lines[0].number, lines[-1].number) == (first, last)


def test_the_directory_of_the_build_is_no_part_of_the_path(tree: Path) -> None:
    built = "/build/reproducible-path/linux-6.1.192/lib/vsprintf.c:20"
    assert source_lines(tree, built) == source_lines(tree, "lib/vsprintf.c:20")


@pytest.mark.parametrize(
    "location",
    ["../secret.c:3", "lib/../../secret.c:3", "lib/absent.c:3", "lib:3", "lib/vsprintf.c"],
)
def test_what_is_not_in_the_tree_is_not_shown(tree: Path, location: str) -> None:
    assert source_lines(tree, location) == ()
