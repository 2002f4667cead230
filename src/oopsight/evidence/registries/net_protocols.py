"""Network protocols: socket families, transports, congestion control, namespaces' hooks."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "network protocol"
REGISTERS = (
    "sock_register",
    "proto_register",
    "inet_add_protocol",
    "inet6_add_protocol",
    "inet_register_protosw",
    "inet_add_offload",
    "dev_add_offload",
    "inet6_register_protosw",
    "register_pernet_*",
    "tcp_register_congestion_control",
    "*rtnl_link_register",
    "rtnl_af_register",
    "genl_register_family",
)

_TABLES: tuple[tuple[str, int, str, tuple[str, ...]], ...] = (
    # variable, how many, what an entry is, the pointers in it
    ("net_families", 46, "struct net_proto_family", ("create",)),
    ("inet_protos", 256, "struct net_protocol", ("handler", "err_handler")),
    ("inet6_protos", 256, "struct inet6_protocol", ("handler", "err_handler")),
)
_LISTS: tuple[tuple[str, str, str, str | None, tuple[str, ...]], ...] = (
    # variable, what an entry is, its link, its name, the pointers in it
    ("proto_list", "struct proto", "node", "name", ("close", "init", "sendmsg", "recvmsg")),
    ("tcp_cong_list", "struct tcp_congestion_ops", "list", "name", ("ssthresh", "cong_avoid")),
    ("pernet_list", "struct pernet_operations", "list", None, ("init", "exit", "exit_batch")),
    ("link_ops", "struct rtnl_link_ops", "list", "kind", ("setup", "newlink")),
    ("rtnl_af_ops", "struct rtnl_af_ops", "list", None, ("fill_link_af",)),
)


def search(look: Look) -> None:
    """``sock_register()``, ``proto_register()`` and their like leave them."""
    for name, most, type_name, pointers in _TABLES:
        with look.part(name):
            table = look.variable(name)
            for index, value in enumerate(look.words(table.address_, min(len(table), most))):
                label = f"{name}[{index}]"
                look.word(name, table.address_, 8 * index, value, label)
                if value and not look.gone(value):
                    for member in pointers:
                        if look.has(type_name, member):
                            look.at(type_name, value, member, label)
    for name, type_name, link, title, pointers in _LISTS:
        with look.part(name):
            head = ("struct list_head", look.variable(name, "struct list_head").address_, "")
            for entry in look.entries(head, (type_name, link), name):
                label = name
                if title and look.type(type_name).member(title).type.kind.name == "ARRAY":
                    label = look.string(entry + look.offset(type_name, title))
                elif title:
                    label = look.string(look.at(type_name, entry, title, name))
                for member in pointers:
                    if look.has(type_name, member):
                        look.at(type_name, entry, member, label)
    with look.part("genl_fam_idr"):
        family = "struct genl_family"
        idr = look.variable("genl_fam_idr", "struct idr").address_
        label = "generic netlink family"
        for entry in look.xarray(("struct idr", idr, "idr_rt"), label):
            for member in ("ops", "small_ops", "split_ops", "pre_doit", "mcgrps"):
                if look.has(family, member):
                    look.at(family, entry, member, label)
