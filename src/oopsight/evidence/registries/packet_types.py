"""Receivers of network packets: protocols' and sniffers' handlers."""

from __future__ import annotations

from oopsight.evidence.registries import Look
from oopsight.walk import MOST_DEVICES, MOST_NETWORKS, each_once

THING = "packet handler on"
REGISTERS = ("dev_add_pack",)

_TYPE, _DEVICE = "struct packet_type", "struct net_device"


def search(look: Look) -> None:
    """``dev_add_pack()`` leaves them, ``dev_remove_pack()`` takes them back."""
    from drgn.helpers.linux.net import for_each_net, for_each_netdev

    with look.part("ptype_base"):
        base = look.variable("ptype_base")
        for bucket in base:
            _walk(look, ("struct list_head", bucket.address_, ""), "ptype_base")
    if look.has("struct net", "ptype_all"):  # since 6.16
        for net in each_once(for_each_net(look.prog), MOST_NETWORKS):
            for member in ("ptype_all", "ptype_specific"):
                _walk(look, ("struct net", net.value_(), member), member)
    else:
        with look.part("ptype_all"):
            if "ptype_all" in look.prog or not look.typed:
                head = look.variable("ptype_all", "struct list_head").address_
                _walk(look, ("struct list_head", head, ""), "ptype_all")
            else:  # since 6.9, commit 0b91fa4bfb1c
                hot = look.variable("net_hotdata").address_
                _walk(look, ("struct net_hotdata", hot, "ptype_all"), "ptype_all")
    for net in each_once(for_each_net(look.prog), MOST_NETWORKS):
        for device in each_once(for_each_netdev(net), MOST_DEVICES):
            name = look.string(device.value_() + look.offset(_DEVICE, "name"))
            for member in ("ptype_all", "ptype_specific"):
                _walk(look, (_DEVICE, device.value_(), member), name)


def _walk(look: Look, head: tuple[str, int, str], label: str) -> None:
    with look.part(label):
        for handler in look.entries(head, (_TYPE, "list"), label):
            look.at(_TYPE, handler, "func", label)
