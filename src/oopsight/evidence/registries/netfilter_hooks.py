"""Netfilter hooks of every network namespace."""

from __future__ import annotations

from oopsight.evidence.registries import Look
from oopsight.walk import MOST_NETWORKS, each_once

THING = "netfilter hook"
REGISTERS = ("nf_register_net_hook*",)

_NET, _ENTRIES = "struct net", "struct nf_hook_entries"
_POINTS = {"ipv4": 5, "ipv6": 5, "arp": 3, "bridge": 6}
_NAMES = ("PRE_ROUTING", "LOCAL_IN", "FORWARD", "LOCAL_OUT", "POST_ROUTING", "BROUTING")
_MOST = 1024  # MAX_HOOK_COUNT, net/netfilter/core.c


def search(look: Look) -> None:
    """``nf_register_net_hook()`` leaves them."""
    from drgn.helpers.linux.net import for_each_net

    for net in each_once(for_each_net(look.prog), MOST_NETWORKS):
        for family, points in _POINTS.items():
            for point in range(points):
                member = f"nf.hooks_{family}[{point}]"
                if not look.has(_NET, member):
                    continue
                label = f"{family} {_NAMES[point]}"
                with look.part(label):
                    _walk(look, look.at(_NET, net.value_(), member, label), label)


def _walk(look: Look, entries: int, label: str) -> None:
    if not entries or look.gone(entries):
        return
    place = entries + look.offset(_ENTRIES, "num_hook_entries")
    count = int.from_bytes(look.prog.read(place, 2), "little")
    for index in range(min(count, _MOST)):
        look.at(_ENTRIES, entries, f"hooks[{index}].hook", label)
        look.at(_ENTRIES, entries, f"hooks[{index}].priv", label)
