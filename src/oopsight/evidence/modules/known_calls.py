"""Functions of the kernel by what they do with what they are given: free it, set it up, lock it."""

from __future__ import annotations

import re

ALLOCATES = (
    *("kmalloc", "kzalloc", "kmem_cache_alloc", "kvmalloc", "kcalloc", "kmemdup", "memdup_user"),
    *("vmalloc", "vzalloc", "vmemdup_user", "mempool_alloc", "dma_pool_alloc"),
    *("alloc_skb", "netdev_alloc_skb", "napi_alloc_skb"),
)
"""What the names of functions that allocate begin with."""
FRESH_OR_ERROR = re.compile(r"v?memdup_(?:array_)?user(?:_nul)?")
"""Those of them that return an error code where they fail, and no NULL."""
ALLOCATES_WHOLE = re.compile(
    r"(?:devm_)?(?:alloc_(?:netdev|etherdev)|input_allocate_device|scsi_host_alloc|snd_card_new"
    r"|iio_device_alloc|spi_alloc_(?:host|master)|ieee80211_alloc_hw|wiphy_new|hid_allocate_device)"
)
"""Functions of the kernel that allocate an object of its own with room for a driver's behind it."""
FREES_MEMORY = {
    **dict.fromkeys(("kfree", "kvfree", "vfree", "kfree_sensitive", "kvfree_sensitive"), "rdi"),
    **dict.fromkeys(("kfree_const", "vfree_atomic", "free_percpu", "free_pages"), "rdi"),
    **dict.fromkeys(("mempool_free", "call_rcu", "call_rcu_hurry"), "rdi"),
    **dict.fromkeys(("kmem_cache_free", "kvfree_call_rcu", "kfree_call_rcu"), "rsi"),
    **dict.fromkeys(("dma_pool_free", "devm_kfree"), "rsi"),
}
"""Functions that free what a register points to, or some part of it."""
FREES_PACKETS = {
    **dict.fromkeys(("kfree_skb", "kfree_skb_reason", "consume_skb", "napi_consume_skb"), "rdi"),
    **dict.fromkeys(("kfree_skb_list", "kfree_skb_list_reason", "kfree_skb_partial"), "rdi"),
    **dict.fromkeys(("dev_kfree_skb_any", "dev_kfree_skb_any_reason"), "rdi"),
    **dict.fromkeys(("dev_kfree_skb_irq", "dev_kfree_skb_irq_reason"), "rdi"),
    "sk_skb_reason_drop": "rsi",
}
"""The same, of socket buffers."""
PURGES = frozenset(("skb_queue_purge", "skb_queue_purge_reason", "skb_rbtree_purge"))
"""Functions that take all packets off a queue and free them."""
FREES = {
    **FREES_MEMORY,
    **FREES_PACKETS,
    **dict.fromkeys(("destroy_workqueue", "kmem_cache_destroy", "mempool_destroy"), "rdi"),
    **dict.fromkeys(("dma_pool_destroy", "free_netdev", "usb_free_urb"), "rdi"),
    **dict.fromkeys(("input_free_device", "release_firmware"), "rdi"),
    "crypto_destroy_tfm": "rsi",
}
"""Functions that free what a register points to."""
FREES_AREAS = frozenset(
    (
        *("vfree", "vfree_atomic", "kvfree", "kvfree_sensitive", "vunmap", "vm_unmap_ram"),
        *("iounmap", "pci_iounmap", "devm_iounmap", "memunmap", "devm_memunmap"),
        *("dma_free_attrs", "dma_free_coherent", "dma_vunmap_noncontiguous", "dma_buf_vunmap"),
        *("dma_buf_vunmap_unlocked", "drm_gem_vunmap", "drm_gem_vunmap_unlocked"),
        *("release_firmware", "relay_close", "vb2_ops_vunmap"),
    )
)
"""Functions that give an area of the vmalloc range back, of whomever they have it."""
AFTER_READERS = ("kvfree_call_rcu", "kfree_call_rcu", "call_rcu", "call_rcu_hurry")
"""Of these, those that are told a member; the first two in Linux 6.1 how far that is."""
# Which register tells how much.
SIZES = {
    "kmalloc_trace": "rdx",
    "kmem_cache_alloc_trace": "rdx",
    "__kmalloc_cache": "rdx",
    "__kmalloc": "rdi",
}
# The same, of those whose size is mostly computed.
SIZED = {
    **dict.fromkeys(("__kmalloc", "__kmalloc_node", "kvmalloc_node", "__kvmalloc_node"), "rdi"),
    **dict.fromkeys(("vmalloc", "vzalloc", "__kmalloc_track_caller"), "rdi"),
    **dict.fromkeys(("krealloc", "krealloc_node_align", "devm_kmalloc", "devm_krealloc"), "rsi"),
    **dict.fromkeys(("kvrealloc", "kvrealloc_node_align"), "rsi"),
}
FINDS = re.compile(
    r"_*(?:xa|xas|idr|radix_tree|mtree|mas|rb|llist|klist|rhashtable)_\w*(?:load|find|lookup|first|next)"
    r"|_*(?:xa_load|idr_get_next\w*|rb_prev|dev_get_drvdata)$"
)
"""Functions that return what is there already."""
COPIES = re.compile(r"_*(?:memcpy|memmove)(?:_orig|_erms)?")
GIVES_BACK = re.compile(r"_*(?:memcpy|memmove|memset|strcpy|strncpy|strcat)(?:_orig|_erms)?")
"""Functions that return their first argument."""
LOCKS = re.compile(r"_*(?:raw_|rt_)?(?:spin|read|write|mutex)_(?:try)?lock|down_(?:read|write)")
"""Functions that take a lock, or try to; ``rt_`` with PREEMPT_RT."""
# Functions that know a pointer for a process's, and the register that it is in.
_OF_USERS = (
    (re.compile(r"(?:raw_)?copy_to_user"), "rdi"),
    (re.compile(r"(?:raw_)?copy_from_user|strncpy_from_user"), "rsi"),
    (re.compile(r"v?memdup_user|strndup_user|strnlen_user|clear_user"), "rdi"),
    (re.compile(r"get_user"), "rax"),
    (re.compile(r"put_user"), "rcx"),
)
INITS = re.compile(
    r"(?:mutex_init(?:_generic|_lockep)?|init_(?:rwsem|waitqueue_head|swait_queue_head))$"
)
"""Functions that set up what the first register points to, which has a list's head in it."""
SETS_UP = re.compile(
    r"(?:^|_)(?:init|initiali[sz]e|setup|create|register|napi_add)(?:_(?!by|exit)\w+)?$"
)
"""In names of functions that set up what they are given the address of."""
# What the kernel sets up where it is told to, and how many bytes that is at least.
PREPARES = {
    **dict.fromkeys(("__init_waitqueue_head", "__init_swait_queue_head"), 24),
    **dict.fromkeys(("__mutex_init", "__init_rwsem", "mutex_init_generic"), 32),
    **dict.fromkeys(("init_timer_key", "timer_init_key", "tasklet_init", "tasklet_setup"), 40),
    **dict.fromkeys(("hrtimer_init", "hrtimer_setup", "kobject_init", "alarm_init"), 64),
    **dict.fromkeys(("cdev_init", "device_initialize", "tty_port_init"), 64),
}
PUTS = re.compile(
    r"(?!_*(?:skb|nla)_put$)(?:\w+_)?(?:f|d|i|mm|mnt)?put"
    r"(?:_(?:device|dev|intf|page|task_struct|pid|cred|net|disk|mm|unless_\w+))?"
)
"""Functions of the kernel that give back a reference to what they are given."""
# Linux 6.6 has "_or_report" (lib/list_debug.c); the compiler's suffixes are taken off.
LIST_ADDS = ("__list_add_valid", "__list_add_valid_or_report")
LIST_DELETES = ("__list_del_entry_valid", "__list_del_entry_valid_or_report")
LINKS = frozenset(
    (
        *LIST_ADDS,
        *("skb_queue_tail", "skb_queue_head", "skb_append", "llist_add_batch", "plist_add"),
        *("klist_add_head", "klist_add_tail", "klist_add_behind", "klist_add_before"),
        *("list_lru_add", "list_lru_add_obj", "rb_insert_color", "timerqueue_add"),
    )
)
"""Functions that put an entry into a list, queue or tree."""
UNLINKS = frozenset(
    (
        *LIST_DELETES,
        *("skb_unlink", "skb_dequeue", "skb_dequeue_tail", "llist_del_first", "plist_del"),
        *("klist_del", "klist_remove", "list_lru_del", "list_lru_del_obj", "rb_erase"),
        *("__rb_erase_color", "timerqueue_del"),
    )
)
"""Functions that take one off."""
ENDS_IO = frozenset(
    (
        *("blk_mq_end_request", "blk_mq_complete_request", "blk_mq_complete_request_remote"),
        *("blk_mq_requeue_request", "blk_update_request", "blk_mq_end_request_batch"),
        *("blk_execute_rq_nowait", "bio_endio", "bio_io_error"),
    )
)
"""Functions, without leading underscores, that end the request or bio that they are given first."""
STARTS = frozenset(
    (
        *("queue_work_on", "queue_work_node", "queue_delayed_work_on", "mod_delayed_work_on"),
        *("queue_rcu_work", "kthread_queue_work", "kthread_queue_delayed_work", "mod_timer"),
        *("kthread_mod_delayed_work", "add_timer", "add_timer_on", "hrtimer_start_range_ns"),
        *("wake_up_process", "__tasklet_schedule", "__tasklet_hi_schedule", "irq_work_queue"),
        *("submit_bio", "submit_bio_noacct", "call_rcu", "usb_submit_urb", "spi_async"),
        *("blk_execute_rq_nowait", "smp_call_function_single", "smp_call_function_single_async"),
        *("__napi_schedule", "__napi_schedule_irqoff", "task_work_add", "irq_work_queue_on"),
    )
)
"""Functions that set going what does the rest later."""
HANDS_ON = STARTS | {
    *LINKS,
    *("__kfifo_in", "__kfifo_in_r", "ptr_ring_produce"),
}
"""Functions that leave the rest to something else: these, and those that put it on a list."""
CREATES_THREADS = ("kthread_create_on_node", "kthread_create_on_cpu", "kthread_run_on_cpu")
FILLS = ("memset", "__memset")
# What the kernel hands back to callbacks, by the argument that a driver tells it in.
HANDS_DATA = {
    **dict.fromkeys(("device_create", "device_create_with_groups", "debugfs_create_file"), 3),
    "proc_create_data": 4,
    **dict.fromkeys(("single_open", "single_open_size", "hwmon_device_register_with_info"), 2),
    **dict.fromkeys(("request_threaded_irq", "devm_request_threaded_irq"), 5),
    **dict.fromkeys(("kthread_create_on_node", "kthread_create_on_cpu"), 1),
}
MOST_SET_UP = 2  # arguments, one of which is to be set up: netif_napi_add(dev, napi)


def of_users(called: str) -> str | None:
    """The register in which a function has a pointer that it knows for a process's.

    :param called: its name
    """
    plain = called.lstrip("_")
    return next((register for names, register in _OF_USERS if names.match(plain)), None)
