"""The kernel's functions that take and give back locks, by the kind of lock."""

from __future__ import annotations

import re

from oopsight.kernel.machine_code import Expression

# Functions by what they do to the lock that their first argument points to.
_SPIN = ("", "_irq", "_irqsave", "_bh")
ACQUIRES: dict[str, str] = {
    **{f"_raw_{kind}_lock{how}": "spinlock" for kind in ("spin", "read", "write") for how in _SPIN},
    **dict.fromkeys(("_raw_spin_lock_nested", "_raw_write_lock_nested"), "spinlock"),
    "_raw_spin_lock_irqsave_nested": "spinlock",
    # With PREEMPT_RT.
    **dict.fromkeys(("rt_spin_lock", "rt_read_lock", "rt_write_lock"), "spinlock"),
    "rt_spin_lock_nested": "spinlock",
    "mutex_lock": "mutex",
    "mutex_lock_nested": "mutex",
    "mutex_lock_io": "mutex",
    "rt_mutex_lock": "rtmutex",
    "down": "semaphore",
    "down_read": "rwsem",
    "down_write": "rwsem",
    "down_read_nested": "rwsem",
    "down_write_nested": "rwsem",
    "__folio_lock": "page",
    "__lock_page": "page",
    "__srcu_read_lock": "srcu",
    "__srcu_read_lock_nmisafe": "srcu",
    "percpu_down_write": "percpu_rwsem",
    "lock_sock_nested": "socket",
}
BOTTOM_HALVES = "bottom halves"
"""Off rather than held."""
FROZEN = "frozen file system"
"""Whoever froze it has to thaw it, as one gives a lock back."""
BIT_LOCK = "out_of_line_wait_on_bit_lock"
UNINTERRUPTIBLE = Expression("", 2)
"""As its fourth argument: then it always takes the bit."""
# These take the lock only if they return zero, or only if they do not.
ACQUIRES_IF_ZERO: dict[str, str] = {
    "mutex_lock_interruptible": "mutex",
    "mutex_lock_killable": "mutex",
    **dict.fromkeys(("ww_mutex_lock", "ww_mutex_lock_interruptible"), "mutex"),
    **dict.fromkeys(("rt_mutex_lock_interruptible", "rt_mutex_lock_killable"), "rtmutex"),
    "down_interruptible": "semaphore",
    "down_killable": "semaphore",
    "down_timeout": "semaphore",
    "down_trylock": "semaphore",
    "down_read_interruptible": "rwsem",
    "down_read_killable": "rwsem",
    "down_write_killable": "rwsem",
    BIT_LOCK: "bit",
    **dict.fromkeys(("freeze_super", "freeze_bdev"), FROZEN),
    "__folio_lock_killable": "page",
    "__lock_page_killable": "page",
}
ACQUIRES_UNLESS_ZERO: dict[str, str] = {
    "mutex_trylock": "mutex",
    "ww_mutex_trylock": "mutex",
    "rt_mutex_trylock": "rtmutex",
    "down_read_trylock": "rwsem",
    "down_write_trylock": "rwsem",
    **{f"_raw_{kind}_trylock": "spinlock" for kind in ("spin", "read", "write")},
    "_raw_spin_trylock_bh": "spinlock",
    **{f"rt_{kind}_trylock": "spinlock" for kind in ("spin", "read", "write")},
    "rt_spin_trylock_bh": "spinlock",
    # With the last reference; the lock is their second argument.
    **dict.fromkeys(("atomic_dec_and_mutex_lock", "refcount_dec_and_mutex_lock"), "mutex"),
    **dict.fromkeys(("_atomic_dec_and_lock", "_atomic_dec_and_raw_lock"), "spinlock"),
    **dict.fromkeys(("_atomic_dec_and_lock_irqsave", "refcount_dec_and_lock"), "spinlock"),
    "refcount_dec_and_lock_irqsave": "spinlock",
}
COUNTED = re.compile(r"_?(?:atomic|refcount)_dec_and_\w*lock\w*")
"""Functions that have a count for their first argument, and the lock for their second."""
WRAPPERS = frozenset(
    (
        *("tty_lock", "tty_lock_interruptible", "tty_unlock", "spi_bus_lock", "spi_bus_unlock"),
        *("devl_lock", "devl_trylock", "devl_unlock", "netif_tx_lock", "netif_tx_unlock"),
        *("pci_dev_lock", "pci_dev_trylock", "pci_dev_unlock", "rtnl_net_lock"),
        *("rtnl_net_unlock", "nfnl_lock", "nfnl_unlock", "lock_two_nondirectories"),
        "unlock_two_nondirectories",
    )
)
"""The kernel's own functions that take a lock in what they are handed, or give it back."""
RELEASES: dict[str, str] = {
    **{
        f"_raw_{kind}_unlock{how}": "spinlock"
        for kind in ("spin", "read", "write")
        for how in ("", "_irq", "_irqrestore", "_bh")
    },
    **{f"rt_{kind}_unlock": "spinlock" for kind in ("spin", "read", "write")},
    "mutex_unlock": "mutex",
    "ww_mutex_unlock": "mutex",
    "rt_mutex_unlock": "rtmutex",
    "up": "semaphore",
    "up_read": "rwsem",
    "up_write": "rwsem",
    "folio_unlock": "page",
    "unlock_page": "page",
    "wake_up_bit": "bit",
    "clear_and_wake_up_bit": "bit",
    "__srcu_read_unlock": "srcu",
    "__srcu_read_unlock_nmisafe": "srcu",
    "percpu_up_write": "percpu_rwsem",
    "release_sock": "socket",
    **dict.fromkeys(("thaw_super", "thaw_bdev"), FROZEN),
}
# Functions without an argument for the lock, which is the only one of its name: the kind, the
# variable, and how they are called to take and to give back. A read section of RCU has no variable.
_GLOBAL = (
    ("rcu", None, ("__rcu_read_lock",), ("__rcu_read_unlock",)),
    ("mutex", "rtnl_mutex", ("rtnl_lock",), ("rtnl_unlock",)),
    ("mutex", "genl_mutex", ("genl_lock",), ("genl_unlock",)),
    ("mutex", "device_hotplug_lock", ("lock_device_hotplug",), ("unlock_device_hotplug",)),
    (
        "mutex",
        "pci_rescan_remove_lock",
        ("pci_lock_rescan_remove",),
        ("pci_unlock_rescan_remove",),
    ),
    ("mutex", "system_transition_mutex", ("lock_system_sleep",), ("unlock_system_sleep",)),
    ("mutex", "cpu_add_remove_lock", ("cpu_maps_update_begin",), ("cpu_maps_update_done",)),
    ("semaphore", "console_sem", ("console_lock",), ("console_unlock",)),
    ("percpu_rwsem", "mem_hotplug_lock", ("get_online_mems",), ("put_online_mems",)),
    (
        "percpu_rwsem",
        "cpu_hotplug_lock",
        ("cpus_read_lock", "cpus_write_lock"),
        ("cpus_read_unlock", "cpus_write_unlock"),
    ),
)
VARIABLES: dict[str, str | None] = {
    function: variable for _, variable, takes, gives in _GLOBAL for function in (*takes, *gives)
}
VARIABLES |= dict.fromkeys(
    ("rtnl_trylock", "rtnl_lock_killable", "rtnl_lock_interruptible"), "rtnl_mutex"
)
VARIABLES |= {"cpus_read_trylock": "cpu_hotplug_lock", "console_trylock": "console_sem"}
"""The variable that a function without an argument takes or gives back; ``None`` for none."""
ACQUIRES |= {function: kind for kind, _, takes, _ in _GLOBAL for function in takes}
RELEASES |= {function: kind for kind, _, _, gives in _GLOBAL for function in gives}
ACQUIRES_IF_ZERO |= dict.fromkeys(("rtnl_lock_killable", "rtnl_lock_interruptible"), "mutex")
ACQUIRES_UNLESS_ZERO |= {
    "rtnl_trylock": "mutex",
    "cpus_read_trylock": "percpu_rwsem",
    "console_trylock": "semaphore",
}
ACQUIRES["__local_bh_disable_ip"] = BOTTOM_HALVES
RELEASES["__local_bh_enable_ip"] = BOTTOM_HALVES
VARIABLES |= dict.fromkeys(("__local_bh_disable_ip", "__local_bh_enable_ip"))
# A packet is no lock, but a handler that was handed one has to give it on as one does a lock.
PACKET = "packet"
RELEASES |= dict.fromkeys(
    (
        *("kfree_skb", "kfree_skb_reason", "sk_skb_reason_drop", "consume_skb", "__kfree_skb"),
        *("kfree_skb_list", "kfree_skb_list_reason", "__dev_kfree_skb_any", "napi_consume_skb"),
        *("__dev_kfree_skb_irq", "dev_kfree_skb_any_reason", "dev_kfree_skb_irq_reason"),
        *("netif_rx", "netif_rx_ni", "netif_receive_skb", "napi_gro_receive", "__dev_queue_xmit"),
        *("dev_queue_xmit", "skb_queue_tail", "skb_queue_head", "sock_queue_rcv_skb"),
        "sock_queue_rcv_skb_reason",
    ),
    PACKET,
)
ALL_ACQUIRES = {**ACQUIRES, **ACQUIRES_IF_ZERO, **ACQUIRES_UNLESS_ZERO}
