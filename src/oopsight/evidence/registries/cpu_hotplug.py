"""Callbacks for CPUs that come and go: ``cpuhp_hp_states``."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "CPU hotplug callback"
REGISTERS = ("__cpuhp_setup_state*",)

_STEP = "struct cpuhp_step"
_MOST = 1024


def search(look: Look) -> None:
    """``cpuhp_setup_state()`` leaves them."""
    # The array's type is incomplete where it is declared; its length is the enum's last value.
    count = look.prog.constant("CPUHP_ONLINE").value_() + 1
    states = look.variable("cpuhp_hp_states")
    size = look.type(_STEP).size or 0
    members = [m for m in ("startup.single", "teardown.single", "name") if look.has(_STEP, m)]
    for index in range(min(count, _MOST)):
        step = states.address_ + index * size

        def label(step: int = step, index: int = index) -> str:
            name = look.read(_STEP, step, "name")
            return f"CPU hotplug state {index}" if look.gone(name) else look.string(name)

        for member in members:
            look.at(_STEP, step, member, label)
