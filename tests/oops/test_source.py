from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from oopsight.oops import CrashReport, parse
from oopsight.oops.source import SourceLines

SOURCE = """\
static volatile int count;
static inline __attribute__((always_inline)) int inner(int a)
{
    count += a;
    return count * 3;
}
__attribute__((noinline)) int widget_read(int a)
{
    int b = inner(a);
    return b + inner(b);
}
int _start(void) { return widget_read(2); }
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program with debug information that stands for a kernel."""
    if not shutil.which("gcc") or not shutil.which("addr2line"):
        pytest.skip("gcc and addr2line are needed")
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "lib").mkdir()
    (folder / "lib" / "widget.c").write_text(SOURCE)
    command = ["gcc", "-g", "-O2", "-nostdlib", "-static"]
    # As a kernel's, the first segment is its text.
    command += ["-Wl,-Ttext=0xffffffff81000000", "-Wl,--build-id=none"]
    subprocess.run(
        [*command, "-mcmodel=kernel", "-fno-pie", "-no-pie", "lib/widget.c", "-o", "vmlinux"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder / "vmlinux"


def report(offset: int, size: int, module: str = "") -> CrashReport:
    head = "WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\nCall Trace:\n dump_stack+0x1/0x9\n"
    return parse(f"{head} widget_read+{offset:#x}/{size:#x}{module}\n")[0]


def symbol(vmlinux: Path) -> tuple[int, int]:
    lines = subprocess.run(["nm", "-S", vmlinux], capture_output=True, text=True, check=True).stdout
    found = re.search(r"^(\w+) (\w+) T widget_read$", lines, re.MULTILINE)
    assert found
    return int(found[1], 16), int(found[2], 16)


def test_every_offset_has_the_lines_that_addr2line_gives(built: Path) -> None:
    address, size = symbol(built)
    source = SourceLines(built)
    offsets = range(2, size)
    told = subprocess.run(
        ["addr2line", "-a", "-i", "-e", built, *(hex(address + at - 1) for at in offsets)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    answers = re.split(r"^0x[0-9a-f]+\n", told, flags=re.MULTILINE)[1:]
    for offset, answer in zip(offsets, answers, strict=True):
        frames = source.located(report(offset, size)).trace
        mine = [f"{one.file}:{one.line}" for one in frames if one.file]
        assert mine == re.findall(r"lib/widget\.c:\d+", answer), hex(offset)


def test_an_inlined_call_is_a_frame_of_its_own(built: Path) -> None:
    _, size = symbol(built)
    source = SourceLines(built)
    names = {
        frame.function
        for offset in range(2, size)
        for frame in source.located(report(offset, size)).trace
        if frame.inline
    }
    assert names == {"inner"}


def test_a_function_of_another_size_is_of_another_build(built: Path) -> None:
    _, size = symbol(built)
    located = SourceLines(built).located(report(4, size + 4096))
    assert all(frame.file is None for frame in located.trace)


def test_a_module_without_a_file_stays_as_it_was(built: Path) -> None:
    _, size = symbol(built)
    located = SourceLines(built).located(report(4, size, " [widget]"))
    assert all(frame.file is None for frame in located.trace)


def test_a_file_that_is_no_kernel_is_a_problem_not_an_error(tmp_path: Path) -> None:
    (tmp_path / "vmlinux").write_text("hello")
    source = SourceLines(tmp_path / "vmlinux")
    assert source.located(report(4, 8)).trace == report(4, 8).trace
    assert source.problems == [f"{tmp_path / 'vmlinux'}: not an ELF file"]
