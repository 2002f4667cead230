"""Network devices: the operations behind them, and who takes their packets first."""

from __future__ import annotations

from oopsight.evidence.registries import Look
from oopsight.walk import MOST_DEVICES, MOST_NETWORKS, each_once

THING = "network device"
REGISTERS = (
    "register_netdev*",
    "netdev_rx_handler_register",
    "rtnl_link_register",
    "__rtnl_link_register",
)

_DEVICE = "struct net_device"
_POINTERS = [
    "netdev_ops",
    "ethtool_ops",
    "header_ops",
    "rtnl_link_ops",
    "rx_handler",
    "l3mdev_ops",
    "xfrmdev_ops",
    "tlsdev_ops",
    "priv_destructor",
    "dcbnl_ops",
    "macsec_ops",
]


def search(look: Look) -> None:
    """``register_netdev()`` and ``netdev_rx_handler_register()`` leave them."""
    from drgn.helpers.linux.net import for_each_net, for_each_netdev

    members = [member for member in _POINTERS if look.has(_DEVICE, member)]
    for net in each_once(for_each_net(look.prog), MOST_NETWORKS):
        for device in each_once(for_each_netdev(net), MOST_DEVICES):
            address = device.value_()
            name = look.string(address + look.offset(_DEVICE, "name"))
            with look.part(name):
                for member in members:
                    look.at(_DEVICE, address, member, name)
