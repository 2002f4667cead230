"""Notifier chains: who wants to be told when something happens.

The heads are the kernel's global variables of the four ``notifier_head`` types. Where symbols tell
no types, those that are named here are walked.
"""

from __future__ import annotations

import contextlib

from oopsight.evidence.registries import Look
from oopsight.symbols.lookup import symbols_matching
from oopsight.walk import MOST_NETWORKS, each_once

THING = "notifier on"
REGISTERS = (
    "*register*_notifier",
    "*notifier_chain_register*",
    "*notifier_register",
    "*_register_client",
)

_BLOCK = "struct notifier_block"
_HEADS = tuple(f"struct {kind}_notifier_head" for kind in ("atomic", "blocking", "raw", "srcu"))
# The chains that modules hang on most often, by the order of _HEADS.
_KNOWN = (
    """panic_notifier_list die_chain netevent_notif_chain inet6addr_chain keyboard_notifier_list
    vt_notifier_list restart_handler_list task_free_notifier dcbevent_notif_chain hci_notifier""",
    """reboot_notifier_list module_notify_list inetaddr_chain netlink_chain oom_notify_list
    pm_chain_head memory_chain acpi_chain_head crypto_chain inetaddr_validator_chain
    inet6addr_validator_chain tracepoint_notify_list x86_mce_decoder_chain vmap_notify_list
    cpufreq_policy_notifier_list power_supply_notifier fb_notifier_list usb_notifier_list
    munmap_notifier blocking_lsm_notifier_chain reboot_prep_handler_list""",
    "netdev_chain cpu_chain cpu_pm_notifier_chain pvclock_gtod_chain",
    "cpufreq_transition_notifier_list init_srcu_notifier_list",
)


def search(look: Look) -> None:
    """``register_*_notifier()`` leaves them, ``unregister_*_notifier()`` takes them back."""
    for kind, names in zip(_HEADS, _KNOWN, strict=True):
        for name in names.split():
            if name in look.prog:
                variable = look.prog[name]
                if variable.type_.type_name() in _HEADS and variable.address_:
                    _walk(look, name, (variable.type_.type_name(), variable.address_, "head"))
            elif not look.typed:
                with contextlib.suppress(LookupError):  # this kernel has no such chain
                    _walk(look, name, (kind, look.variable(name, kind).address_, "head"))
    with look.part("netdev_chain of network namespaces"):
        from drgn.helpers.linux.net import for_each_net

        for net in each_once(for_each_net(look.prog), MOST_NETWORKS):
            _walk(look, "netdev_chain", ("struct net", net.value_(), "netdev_chain.head"))


def search_more(look: Look) -> None:
    """All chains that the symbols tell of, in some 50 ms."""
    known = set(" ".join(_KNOWN).split())
    for name in symbols_matching(look.prog, r"\w*notif\w*|\w*(?:chain|_list|_head)"):
        if name not in known and name in look.prog:
            known.add(name)
            variable = look.prog[name]
            kind = variable.type_.type_name()
            if kind in _HEADS and variable.address_:
                _walk(look, name, (kind, variable.address_, "head"))


def _walk(look: Look, name: str, head: tuple[str, int, str]) -> None:
    with look.part(name):
        for block in look.chain(head, (_BLOCK, "next"), name):
            look.at(_BLOCK, block, "notifier_call", name)
