"""Functions and files that a crash passes through without being their fault, each with its reason.

Only code that acts for any caller stands here: whoever reads a trace goes on to the caller. What a
subsystem does on its own account never does.
"""

from __future__ import annotations

import re

_SPECIFICATION = (
    (
        "prints the report",
        (
            r"dump_stack|show_stack|dump_backtrace|show_trace|show_regs|unwind_|walk_stack|"
            r"save_stack|stack_trace|print_(?!other_cpu)\w*|panic$|nmi_panic|__warn|warn_slowpath|"
            r"warn_bogus|warn_alloc|report_bug|__report_bug|fixup_bug|oops_|die$|__die|kasan|"
            r"__kasan|__asan|__hwasan|check_memory_region|kmsan|__msan|__kmsan|kcsan|__tsan|"
            r"kfence|__ubsan|ubsan|__sanitizer|end_report|start_report|object_err|slab_err|"
            r"bad_page|free_page_is_bad|spin_dump|spin_bug|rwlock_bug|skb_panic|skb_(over|"
            r"under)_panic|assertfail|rust_begin_unwind|rust_helper_BUG|nmi_|arch_trigger|"
            r"sched_show|dump_cpu_task|lockdep|__lockdep|debug_|__debug|ref_tracker|usercopy_|"
            r"__check_(object|heap)|check_(object|heap)|fortify"
        ),
    ),
    (
        "enters the kernel on a fault or interrupt",
        (
            r"(?:asm_)?(?:do_|exc_|handle_)?(?:error_trap|invalid_op|page_fault|"
            r"general_protection|int3|trap|bug|double_fault|divide_error|nmi)\b|"
            r"do_(?:error_)?trap|do_(?:kern|user|bad)_\w*|no_context|bad_area|__bad_area|"
            r"__do_(?:kernel|user)_fault|do_(?:mem_abort|translation_fault|tag_check|page_fault|"
            r"DataAbort|alignment)|el[01]|el1h|entry_|asm_|ret_(?:from|fast)|error_(?:entry|exit)|"
            r"async_page_fault|math_error|bug_handler|brk_handler|call_break_hook|__dabt|__und|"
            r"__pabt|vector_|do_debug_exception|(?:smp_)?(?:apic|sysvec_\w*|"
            r"reschedule)_\w*interrupt|irq_(?:exit|enter)|__irq_exit|do_IRQ|interrupt_entry|"
            r"native_iret|__x86_indirect_thunk|stub_|page_fault|invalid_op|double_fault|df_debug|"
            r"common_interrupt|native_machine"
        ),
    ),
    (
        "takes or checks a lock for its caller",
        (
            r"_*(?:raw_)?_*(?:spin|read|write)_(?:un|try)?lock|do_raw_|(?:native_|pv_|"
            r"__pv_)?_*queued_\w*lock|_*mutex_|_*(?:rt_)?mutex|_*rwsem|_*down_|_*up_(?:read|"
            r"write)|down$|up$|call_rwsem|_*lock_(?:acquire|release|is_held)|__lock_acquire|"
            r"lock_sock|validate_chain|check_(?:noncirc|prev|irq|deadlock|usage|chain|preempt)|"
            r"mark_lock|register_lock|arch_(?:spin|read|write)|seqcount|rcu_(?:read_lock|dynticks|"
            r"is_)|osq_|queued_|percpu_down|percpu_up|lock_task_rq|__task_rq_lock|__might_|"
            r"___might|might_|__this_cpu|local_bh|__local_bh|rtlock|rt_(?:spin|read|write)|"
            r"_*refcount_|refcount|kref_|kobject_(?:get|add|put|init|del|uevent)|kobject_|"
            r"add_uevent"
        ),
    ),
    (
        "waits or schedules for its caller",
        (
            r"__schedule|schedule|context_switch|__switch_to|preempt_schedule|_*cond_resched|"
            r"io_schedule|bit_wait|_*wait_(?:for|on)_|do_wait_for|_*wake_up(?!_new)|__wake|"
            r"complete|autoremove|default_wake|try_to_wake|finish_wait|prepare_to_wait|"
            r"_*flush_work|__cancel_work|cancel_(?:delayed_)?work|_*queue_(?:delayed_)?work|"
            r"insert_work|work_is_static|(?:un)?lock_page|__lock_page|folio_(?:lock|wait|unlock)|"
            r"kthread_stop|swake|add_wait|remove_wait|_*mod_timer|add_timer|del_timer|"
            r"hrtimer_(?:start|cancel|active)|_*synchronize_|_*call_rcu_(?:sched|bh)|rcu_barrier|"
            r"usb_(?:kill|submit|start_wait|bulk|control|interrupt)_?(?:urb|msg)?"
        ),
    ),
    (
        "allocates or frees memory for its caller",
        (
            r"_*k(?:mem_cache|malloc|zalloc|free|vmalloc|vfree|realloc|calloc|memdup|strdup)\w*|"
            r"_+kmalloc|_*kmem_|kfree|_*vmalloc|vzalloc|_*vfree|_*alloc_(?:pages?|frozen|skb|"
            r"percpu|inode)|_*free_(?:pages?|unref|hot_cold|frozen)|_*get_free_page|"
            r"(?:___?)?cache_|_*slab_|___slab|alloc_debug|free_debug|new_slab|allocate_slab|pcpu_|"
            r"kv(?:m|f|z)alloc|kvm?alloc|kvfree|kmalloc|qlist|quarantine|_*kmalloc_reserve|"
            r"sk_prot_alloc|sk_alloc|mempool_|_*skb_(?:put|push|pull|clone|copy_bits|release)|"
            r"kfree_skb|consume_skb|skb_free|alloc_skb|_*folio_(?:put|alloc)|put_page|__put_page|"
            r"vfs_alloc|memdup|_*get_zeroed|radix_tree_node|xas_(?:alloc|create)|warn_alloc|"
            r"virt_to|__phys_addr|object_|discard_slab|unfreeze|deactivate_slab|napi_(?:alloc|"
            r"skb)|_*slab"
        ),
    ),
    (
        "handles a list, tree or string for its caller",
        (
            r"timerqueue_(?!del)|_*h?list_|_*rb_|rhash|_*rht_|_*radix_tree|_*idr_|_*ida_|_*xa_|"
            r"xas_|mas_|mtree|plist|_*mem(?:cpy|set|move|cmp|chr|scan)\w*|str(?:n|l|s)?\w{3,5}$|"
            r"_*strn?\w*len|hex_|pointer$|v?s[cn]*printf|v?snprintf|number$|string$|vprintk|"
            r"_?printk|printk_|_?dev_(?:info|err|warn|printk|vprintk|notice|crit|dbg)|"
            r"__dev_printk|dev_vprintk|__netdev_printk|netdev_info|console_(?:unlock|trylock)|"
            r"__down_trylock|vprintk_|_*find_(?:first|next|last)|_*(?:test|set|clear|"
            r"change)_(?:and_\w*)?bit|constant_test|bitmap_|crc\w+|csum_|_*copy_(?:from|to|in)_|"
            r"_*copy_user|_copy_(?:from|to)|copyin|copyout|copy_page_(?:to|from)|_*get_user|"
            r"_*put_user|_*(?:atomic|arch_atomic)|instrument_|__read_once|(?:__)?(?:raw_)?(?:read|"
            r"write)[bwlq]$|logic_(?:in|out)|sort|lockref|aes|crypto_|xts_|_*check_preemption|"
            r"sg_(?:init|next|alloc|copy)|iov_iter_(?!adv)|simple_copy|__rb"
        ),
    ),
)

_REASONS = tuple((reason, re.compile("(?:" + pattern + ")")) for reason, pattern in _SPECIFICATION)

# Source files that serve any caller. A path fits by its start.
_FILES = re.compile(
    r"(?:\./)?(?:include/|lib/|arch/\w+/(?:include|kernel/(?!.*kvm)|lib|mm|entry)/|"
    r"mm/(?:kasan|kmsan|kfence|kcsan|sl[auo]b|page_alloc|vmalloc|util|kmemleak|mempool|"
    r"percpu|usercopy|maccess|memory|page_owner|debug)|kernel/(?:locking|printk|time|"
    r"sched|rcu|irq|entry|kcsan|panic|softirq|kthread|workqueue|kcov|cpu|stacktrace|smp|"
    r"exit|task_work|fork|watchdog|hung_task)|drivers/(?:clocksource|irqchip|"
    r"usb/core/urb)|net/core/(?:skbuff|sock|dev)\.|rust/|fs/(?:read_write|ioctl|"
    r"proc/generic)\.)"
)


_CLONE = re.compile(r"(?:\.(?:isra|constprop|part|cold|llvm|lto_priv)(?:\.\d+)?|\.\d+)+$")


def base_name(function: str) -> str:
    """The name in the source: without the suffixes the compiler gives to copies and parts.

    >>> base_name("ath9k_htc_wait_for_target.isra.0.cold")
    'ath9k_htc_wait_for_target'
    """
    return _CLONE.sub("", function)


def why_skipped(function: str) -> str | None:
    """Why a frame of this function is passed over; ``None`` if it can be to blame."""
    name = base_name(function)
    for reason, pattern in _REASONS:
        if pattern.match(name):
            return reason
    return None


def file_serves_any_caller(path: str) -> bool:
    """Whether a source file is plumbing, so that its caller's file is meant."""
    return _FILES.match(path) is not None or path.endswith(".h")
