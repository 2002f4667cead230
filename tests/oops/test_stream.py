from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_logs import corpus

from oopsight.oops import decoded, parse, parse_blocks
from oopsight.oops.document import document
from oopsight.oops.families import formats
from oopsight.oops.lines import LONGEST, clean, messages
from oopsight.oops.pstore import ordered

OOPS = """\
BUG: kernel NULL pointer dereference, address: 0000000000000010
Oops: 0000 [#1] PREEMPT SMP
CPU: {cpu} PID: 77 Comm: reader Not tainted 6.1.0-9-amd64 #1
RIP: 0010:{name}+0x1a/0x40
Call Trace:
 vfs_read+0x9d/0x2a0
---[ end trace 0 ]---
"""
PIECES = st.sampled_from(
    [
        *OOPS.format(cpu=0, name="widget_read").splitlines(),
        "[    1.000000][ T12] WARNING: CPU: 0 PID: 1 at drivers/w.c:3 widget_open+0x1/0x2",
        "[    1.000000][ C1] Call Trace:",
        "BUG: KASAN: slab-out-of-bounds in f+0x1/0x2",
        "Code: 90 <48> 8b 40 10",
        "INFO: task a:1 blocked for more than 120 seconds.",
        "x" * 5000,
        "{function}",
        "",
    ]
)
NOISE = "".join(f"[{n:12.6f}] usb 1-1: a device\n" for n in range(2000))


def by_blocks(text: str, size: int) -> list[tuple[str, int]]:
    data = text.encode("utf-8", "replace")
    blocks = (data[at : at + size] for at in range(0, len(data), size))
    return [(one.title, one.first_line) for one in parse_blocks(blocks)]


@given(st.lists(st.one_of(PIECES, st.text(max_size=200))), st.integers(1, 500))
@settings(deadline=None, max_examples=150)
def test_whatever_the_text_and_the_blocks_the_reports_are_the_same(
    lines: list[str], size: int
) -> None:
    text = "\n".join(lines)
    whole = [(one.title, one.first_line) for one in parse(text)]
    assert by_blocks(text, size) == whole
    made = document("x", parse(text))
    assert made["kind"] == ("not-a-crash" if not whole else parse(text)[0].kind.value)


@given(st.binary(max_size=2000))
@settings(deadline=None, max_examples=150)
def test_no_bytes_raise(data: bytes) -> None:
    for report in parse_blocks([data]):
        assert decoded(report).title


def test_a_report_behind_a_long_log_keeps_its_line_number() -> None:
    assert by_blocks(NOISE + OOPS.format(cpu=0, name="widget_read"), 4096) == [
        ("BUG: unable to handle kernel NULL pointer dereference in widget_read", 2000)
    ]


def test_two_cpus_that_print_at_once_are_told_apart() -> None:
    one = OOPS.format(cpu=1, name="widget_read").splitlines()
    two = OOPS.format(cpu=2, name="gadget_write").splitlines()
    mixed = "\n".join(
        f"[    1.{n:06}][  T{task}] {line}"
        for n, pair in enumerate(zip(one, two, strict=True))
        for task, line in zip((11, 22), pair, strict=True)
    )
    assert [report.function for report in parse(mixed)] == ["widget_read", "gadget_write"]


@pytest.mark.parametrize(
    "prefix",
    [
        "<4>",
        "[   12.345678] ",
        "<4>[   12.345678][  T123] ",
        "[   12.345678][    C0] ",
        "4,1234,5678901,-;",
        "6,1234,5678901,-,caller=T123;",
        "[Tue Nov 24 13:03:20 2026] ",
        "Nov 24 13:03:20 host kernel: ",
        "Nov 24 13:03:20 host kernel: [   12.345678] ",
        "2026-11-24T13:03:20.123456+01:00 host kernel: ",
        "2026-11-24T13:03:20Z <4>[   12.345678] ",
        "kern  :err   : [   12.345678] ",
        "kernel: ",
        "13:03:20.123 ",
        "[   12.345678@1] ",
        "[   12.345678] -(0)[123:reader]",
        "192.168.7.2:6666 [   12.345678] ",
        "\x1b[33m[   12.345678] \x1b[0m",
        "** 12 printk messages dropped ** [   12.345678] ",
    ],
)
def test_the_prefixes_of_loggers_go(prefix: str) -> None:
    assert clean(prefix + "BUG: something")[0] == "BUG: something"
    text = "".join(prefix + line + "\n" for line in OOPS.format(cpu=0, name="f").splitlines())
    (report,) = parse(text)
    assert report.function == "f"
    assert report.task is not None


def test_a_message_within_another_programs_line_is_its_own() -> None:
    lines = list(messages(0, "host login: [    1.500000][ T5] Oops: 0000 [#1]\r"))
    assert [(line.text, line.context, line.seconds) for line in lines] == [
        ("host login:", None, None),
        ("Oops: 0000 [#1]", "T5", 1.5),
    ]


def test_a_line_without_end_is_cut_off() -> None:
    assert len(next(iter(messages(0, "x" * 10 * LONGEST))).text) == LONGEST


def test_parts_of_pstore_are_put_in_order() -> None:
    lines = OOPS.format(cpu=0, name="widget_read").splitlines(keepends=True)
    parts = [
        f"Panic#1 Part{number}\n{''.join(piece)}".encode()
        for number, piece in enumerate([lines[4:], lines[2:4], lines[:2]], 1)
    ]
    (report,) = parse_blocks(ordered(parts))
    assert report.function == "widget_read"
    assert [frame.function for frame in report.trace] == ["widget_read", "vfs_read"]


def test_what_follows_a_report_does_not_open_another() -> None:
    text = OOPS.format(cpu=0, name="f") + "Kernel panic - not syncing: Fatal exception\n"
    assert len(parse(text)) == 1


def test_the_end_of_a_panic_is_no_second_one() -> None:
    text = "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: f+0x1/0x2\n"
    trace = "Call Trace:\n panic+0x1/0x2\n __stack_chk_fail+0x1/0x2\n f+0x1/0x2\n"
    (report,) = parse(text + trace + f"---[ end {text.strip()} ]---\n")
    assert report.title == "kernel panic: stack is corrupted in f"


def test_a_panic_that_is_printed_before_its_oops_is_not_the_first_crash() -> None:
    text = "Kernel panic - not syncing: Fatal exception\n" + OOPS.format(cpu=0, name="f")
    assert [one.kind.value for one in parse(text)] == ["null-deref"]


def test_leftovers_are_told_where_the_counter_itself_was_bad() -> None:
    (report,) = parse(
        "general protection fault: 0000 [#1] SMP\nRIP: 0010:0x4141414141414141\n"
        "Call Trace:\n ? widget_copy.isra.0+0x20/0xa0 [widget]\n ? vfs_write+0x1/0x2\n"
    )
    assert report.program_counter == 0x4141414141414141
    assert report.function == "widget_copy"
    assert "leftover" in report.missing[-1]


def test_each_format_is_said_in_words_and_known_by_its_trigger() -> None:
    for one in formats():
        assert one.why
        assert one.trigger


def test_importing_the_package_compiles_no_pattern() -> None:
    import subprocess
    import sys

    code = (
        "import re, sys; made = []; compile_ = re.compile;"
        "re.compile = lambda *a, **k: made.append(a) or compile_(*a, **k);"
        "import oopsight.oops, oopsight.oops.stream, oopsight.oops.families as f; f.formats();"
        "print(len(made))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 12


@pytest.mark.shared
def test_every_log_of_the_corpus_reads_alike_by_lines_and_by_bytes() -> None:
    for path in sorted(corpus().glob("*.log"))[::8]:
        text = path.read_bytes().decode("utf-8", "replace")
        by_lines = [one.title for one in parse(text.split("\n"))]
        assert [one.title for one in parse(text)] == by_lines, path.name
