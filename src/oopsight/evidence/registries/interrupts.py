"""Interrupt handlers, their names and their devices' cookies."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "handler of"
REGISTERS = ("*request_*irq*",)

_DESC, _ACTION = "struct irq_desc", "struct irqaction"


def search(look: Look) -> None:
    """``request_irq()`` leaves them, ``free_irq()`` takes them back."""
    from drgn.helpers.linux.irq import for_each_irq_desc

    for number, desc in for_each_irq_desc(look.prog):
        label = f"interrupt {number}"
        with look.part(label):
            for action in look.chain((_DESC, desc.value_(), "action"), (_ACTION, "next"), label):
                for member in ("handler", "thread_fn", "name", "dev_id"):
                    look.at(_ACTION, action, member, label)
