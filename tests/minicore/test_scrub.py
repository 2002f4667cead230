from __future__ import annotations

import pytest

from oopsight.minicore.record import PAGE
from oopsight.minicore.scrub import scrub


def scrubbed(content: bytes, *texts: bytes) -> bytes:
    pages = {5: content.ljust(PAGE, b"\0")}
    scrub(pages, texts)
    return pages[5].rstrip(b"\0")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"from 192.168.17.4 port", b"from xxx.xxx.xx.x port"),
        (b"eth0: 52:54:00:12:34:56 up", b"eth0: xx:xx:xx:xx:xx:xx up"),
        (b"[2001:db8:0:1:2:3:4:5]", b"[xxxx:xxx:x:x:x:x:x:x]"),
        (b"mail to joe.doe@example.org now", b"mail to xxx.xxxxxxxxxxx.xxx now"),
        (b"\0PATH=/usr/bin:/bin\0", b"\0xxxx=xxxxxxxx:xxxx"),
        (b"Linux version 6.1.0-56", b"Linux version 6.1.0-56"),
        (b"string+0x48/0x60 lib/vsprintf.c:643", b"string+0x48/0x60 lib/vsprintf.c:643"),
        (b"0000:00:1f.2: ahci", b"0000:00:1f.2: ahci"),
    ],
)
def test_what_looks_private_is_overwritten(before: bytes, after: bytes) -> None:
    assert scrubbed(before) == after


def test_known_texts_go_longest_first() -> None:
    assert scrubbed(b"app-07.lan app-07 app", b"app-07", b"app-07.lan") == b"xxx-xx.xxx xxx-xx app"
    assert scrubbed(b"a b", b"a", b"") == b"a b"


def test_a_text_across_two_pages_is_found_and_others_stay_as_they_are() -> None:
    line = b"host " + b"app-node-07"
    first = b"\1" * (PAGE - 9) + line[:9]
    second = line[9:] + b"\2" * (PAGE - len(line[9:]))
    pages = {8: first, 9: second, 11: b"\3" * PAGE}
    assert scrub(pages, [b"app-node-07"]) == 1
    assert b"".join(pages[frame] for frame in (8, 9))[PAGE - 9 :][:16] == b"host xxx-xxxx-xx"
    assert [len(page) for page in pages.values()] == [PAGE] * 3
    assert pages[11] == b"\3" * PAGE
