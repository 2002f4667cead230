"""The kernel's functions that take and give back locks, by the kind of lock."""

from __future__ import annotations

from oopsight.kernel.machine_code import Expression

# Functions by what they do to the lock that their first argument points to.
_SPIN = ("", "_irq", "_irqsave", "_bh")
ACQUIRES: dict[str, str] = {
    **{f"_raw_{kind}_lock{how}": "spinlock" for kind in ("spin", "read", "write") for how in _SPIN},
    "_raw_spin_lock_nested": "spinlock",
    # With PREEMPT_RT.
    **dict.fromkeys(("rt_spin_lock", "rt_read_lock", "rt_write_lock"), "spinlock"),
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
    "percpu_down_write": "percpu_rwsem",
    "lock_sock_nested": "socket",
}
BOTTOM_HALVES = "bottom halves"
"""Off rather than held."""
BIT_LOCK = "out_of_line_wait_on_bit_lock"
UNINTERRUPTIBLE = Expression("", 2)
"""As its fourth argument: then it always takes the bit."""
# These take the lock only if they return zero, or only if they do not.
ACQUIRES_IF_ZERO: dict[str, str] = {
    "mutex_lock_interruptible": "mutex",
    "mutex_lock_killable": "mutex",
    "down_interruptible": "semaphore",
    "down_killable": "semaphore",
    "down_timeout": "semaphore",
    "down_trylock": "semaphore",
    "down_read_interruptible": "rwsem",
    "down_read_killable": "rwsem",
    "down_write_killable": "rwsem",
    BIT_LOCK: "bit",
    "__folio_lock_killable": "page",
    "__lock_page_killable": "page",
}
ACQUIRES_UNLESS_ZERO: dict[str, str] = {
    "mutex_trylock": "mutex",
    "down_read_trylock": "rwsem",
    "down_write_trylock": "rwsem",
    **{f"_raw_{kind}_trylock": "spinlock" for kind in ("spin", "read", "write")},
    "_raw_spin_trylock_bh": "spinlock",
    **{f"rt_{kind}_trylock": "spinlock" for kind in ("spin", "read", "write")},
}
RELEASES: dict[str, str] = {
    **{
        f"_raw_{kind}_unlock{how}": "spinlock"
        for kind in ("spin", "read", "write")
        for how in ("", "_irq", "_irqrestore", "_bh")
    },
    **{f"rt_{kind}_unlock": "spinlock" for kind in ("spin", "read", "write")},
    "mutex_unlock": "mutex",
    "rt_mutex_unlock": "rtmutex",
    "up": "semaphore",
    "up_read": "rwsem",
    "up_write": "rwsem",
    "folio_unlock": "page",
    "unlock_page": "page",
    "wake_up_bit": "bit",
    "clear_and_wake_up_bit": "bit",
    "__srcu_read_unlock": "srcu",
    "percpu_up_write": "percpu_rwsem",
    "release_sock": "socket",
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
    ("semaphore", "console_sem", ("console_lock",), ("console_unlock",)),
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
VARIABLES |= dict.fromkeys(("rtnl_trylock", "rtnl_lock_killable"), "rtnl_mutex")
"""The variable that a function without an argument takes or gives back; ``None`` for none."""
ACQUIRES |= {function: kind for kind, _, takes, _ in _GLOBAL for function in takes}
RELEASES |= {function: kind for kind, _, _, gives in _GLOBAL for function in gives}
ACQUIRES_IF_ZERO["rtnl_lock_killable"] = "mutex"
ACQUIRES_UNLESS_ZERO["rtnl_trylock"] = "mutex"
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
