"""Consoles, terminal drivers and line disciplines."""

from __future__ import annotations

from collections.abc import Iterator

from oopsight.evidence.registries import Look

THING = "console or terminal driver"
REGISTERS = ("register_console", "tty_register_driver", "tty_register_ldisc")

_CONSOLE, _TTY, _LDISC = "struct console", "struct tty_driver", "struct tty_ldisc_ops"


def search(look: Look) -> None:
    """``register_console()``, ``tty_register_driver()`` and ``tty_register_ldisc()`` leave them."""
    with look.part("consoles"):
        for console in _consoles(look):
            for member in ("write", "device", "setup"):
                if look.has(_CONSOLE, member):
                    look.at(_CONSOLE, console, member, "console")
    with look.part("tty_drivers"):
        head = ("struct list_head", look.variable("tty_drivers", "struct list_head").address_, "")
        for driver in look.entries(head, (_TTY, "tty_drivers"), "tty driver"):
            name = look.string(look.at(_TTY, driver, "driver_name", "tty driver"))
            for member in ("ops", "name", "owner"):
                look.at(_TTY, driver, member, name)
    with look.part("tty_ldiscs"):
        table = look.variable("tty_ldiscs")
        for index, value in enumerate(look.words(table.address_, min(len(table), 64))):
            look.word("tty_ldiscs", table.address_, 8 * index, value, f"line discipline {index}")
            if value and not look.gone(value):
                look.at(_LDISC, value, "open", f"line discipline {index}")


def _consoles(look: Look) -> Iterator[int]:
    try:  # a hash list since 6.2, commit 4dc64682ad37
        head = look.variable("console_list").address_
    except LookupError:
        variable = look.variable("console_drivers")
        first = variable.value_()
        look.word("console_drivers", variable.address_, 0, first, "console")
        if first and not look.gone(first):
            yield first
            yield from look.chain((_CONSOLE, first, "next"), (_CONSOLE, "next"), "console")
        return
    yield from look.hash_list(("struct hlist_head", head, ""), (_CONSOLE, "node"), "console")
