"""Kprobes: breakpoints with handlers."""

from __future__ import annotations

from oopsight.evidence.registries import Look
from oopsight.text import printable

THING = "kprobe"
REGISTERS = ("register_k*probe*",)

_PROBE, _RETURN = "struct kprobe", "struct kretprobe"


def search(look: Look) -> None:
    """``register_kprobe()`` leaves them, ``unregister_kprobe()`` takes them back."""
    table = look.variable("kprobe_table")
    returns = look.symbol("pre_handler_kretprobe")
    for bucket in table:
        head = ("struct hlist_head", bucket.address_, "")
        with look.part("kprobe_table"):
            for probe in look.hash_list(head, (_PROBE, "hlist"), "kprobe"):

                def label(probe: int = probe) -> str:
                    return _label(look, probe)

                handler = look.at(_PROBE, probe, "pre_handler", label)
                look.at(_PROBE, probe, "post_handler", label)
                if handler == returns:
                    outer = probe - look.offset(_RETURN, "kp")
                    look.at(_RETURN, outer, "handler", label)
                    look.at(_RETURN, outer, "entry_handler", label)
                # Several probes at one place hang on the first.
                for other in look.entries((_PROBE, probe, "list"), (_PROBE, "list"), label):
                    look.at(_PROBE, other, "pre_handler", label)
                    look.at(_PROBE, other, "post_handler", label)


def _label(look: Look, probe: int) -> str:
    address = look.read(_PROBE, probe, "addr")
    try:
        return f"kprobe on {printable(look.prog.symbol(address).name)}"
    except LookupError:
        return f"kprobe at {address:#x}"
