"""Kernel code that acts for any caller, and so is passed over in the search for whom to blame.

A crash in ``strlen`` is the fault of whoever handed it the string. Each mechanism has its source
files, which decide where they are known, and its functions, which decide otherwise. What a driver,
file system or protocol does on its own account never stands here, nor does anything in a module
except what a header of the kernel inlined there.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple


class Mechanism(NamedTuple):
    """A reason to pass a frame over."""

    reason: str
    files: str
    """Beginnings of source paths, one a word; ``*`` stands for anything within a folder."""
    functions: str
    """Whole names of functions, one a word; ``*`` stands for any rest."""


MECHANISMS = (
    Mechanism(
        "reports the crash",
        """kernel/panic.c lib/dump_stack.c lib/bug.c kernel/kexec* kernel/crash* kernel/watchdog*
        kernel/hung_task.c kernel/printk/ mm/kasan/ mm/kfence/ mm/kmsan/ kernel/kcsan/
        lib/ubsan.c arch/*/kernel/dumpstack* arch/*/kernel/crash* arch/*/kernel/unwind*
        arch/*/kernel/machine_* arch/*/kernel/reboot.c kernel/reboot.c
        arch/*/include/asm/bug.h kernel/stacktrace.c mm/debug.c mm/page_owner.c
        lib/debugobjects.c lib/fortify* mm/usercopy.c""",
        """panic vpanic nmi_panic* __warn warn_slowpath_* __warn_printk report_bug __report_bug
        fixup_bug handle_bug oops_* die die_addr __die* show_regs* show_stack*
        show_trace_log_lvl dump_stack* __dump_* crash_* __crash_* machine_kexec*
        native_machine_* emergency_restart machine_* print_* printk _printk vprintk*
        console_* kasan_* __kasan_* __asan_* kfence_* __kfence_* kmsan_* __msan_*
        kcsan_* __tsan_* __ubsan_* ubsan_* check_panic_on_warn debug_print_object
        debug_object_* __stack_chk_fail fortify_panic __fortify_* usercopy_abort
        __check_object_size check_heap_object __check_heap_object bad_page*
        free_page_is_bad* watchdog_timer_fn watchdog_overflow_callback __rust_helper_BUG
        rust_helper_BUG rust_begin_unwind delay_tsc delay_* __const_udelay __delay
        __udelay""",
    ),
    Mechanism(
        "enters the kernel on an exception, interrupt or system call",
        """arch/*/entry/ arch/*/kernel/traps.c arch/*/mm/fault.c arch/*/kernel/irq*
        arch/*/kernel/nmi* arch/*/kernel/apic/ arch/*/kernel/idt.c arch/*/kernel/ftrace*
        arch/*/kernel/alternative* arch/*/lib/retpoline.S kernel/entry/ kernel/irq/
        arch/*/kernel/smp.c kernel/extable.c kernel/kcov.c arch/*/mm/extable.c""",
        """asm_* exc_* entry_* do_syscall_* x64_sys_call __do_fast_syscall_32 do_fast_syscall_32
        do_trap* do_error_trap do_user_addr_fault do_kern_addr_fault __do_page_fault
        do_page_fault bad_area* __bad_area* no_context page_fault_oops
        kernelmode_fixup_or_oops common_interrupt __common_interrupt sysvec_* __sysvec_*
        handle_edge_irq handle_fasteoi_irq handle_level_irq handle_irq_event*
        __handle_irq_event_percpu error_entry error_return ret_from_fork* syscall_*
        irqentry_* __x86_indirect_* __x86_return_thunk native_iret nmi_handle
        default_do_nmi do_nmi* end_repeat_nmi common_exception_* irq_exit* __irq_exit*
        do_IRQ ftrace_* arch_ftrace_* fixup_exception restore_all* error_exit paranoid_*
        idtentry_*""",
    ),
    Mechanism(
        "takes or checks a lock for its caller",
        """kernel/locking/ include/linux/spinlock* include/linux/rwlock* include/linux/mutex*
        include/linux/rwsem* include/asm-generic/qspinlock* include/asm-generic/qrwlock*
        arch/*/include/asm/*lock* lib/lockref.c include/linux/seqlock.h
        kernel/rcu/update.c""",
        """_raw_spin_* __raw_spin_* _raw_read_* _raw_write_* do_raw_* native_queued_spin_*
        __pv_queued_spin_* queued_* pv_* mutex_* __mutex_* __ww_mutex_* ww_mutex_*
        rt_mutex_* __rt_mutex_* rtlock_* down down_* __down* up up_read up_write __up*
        rwsem_* osq_* lock_acquire lock_release __lock_acquire lock_is_held_type
        lockdep_* percpu_down_* percpu_up_* __percpu_* lockref_* spin_dump spin_bug
        rwlock_bug debug_mutex_* debug_spin_* rcu_read_* __rcu_read_* local_bh_*
        __local_bh_* lock_sock_nested __lock_sock lock_sock_fast release_sock
        __might_sleep __might_resched ___might_sleep might_fault __might_fault
        down_read* down_write*""",
    ),
    Mechanism(
        "waits or schedules for its caller",
        """kernel/sched/ kernel/time/ kernel/workqueue.c kernel/softirq.c kernel/rcu/ kernel/smp.c
        kernel/kthread.c kernel/task_work.c kernel/stop_machine.c kernel/smpboot.c
        kernel/fork.c kernel/exit.c kernel/cpu.c kernel/irq_work.c include/linux/wait*
        include/linux/sched* kernel/async.c kernel/notifier.c kernel/tracepoint.c
        include/linux/timer.h kernel/freezer.c kernel/freezer.c kernel/signal.c""",
        """schedule schedule_* __schedule __schedule_bug preempt_schedule* io_schedule*
        __cond_resched wait_for_completion* __wait_for_common wait_on_* __wait_on_*
        bit_wait* complete complete_all __wake_up* wake_up_* try_to_wake_up
        default_wake_function autoremove_wake_function finish_wait prepare_to_wait*
        add_wait_queue* remove_wait_queue swake_* call_timer_fn expire_timers
        __run_timers* run_timer_* __hrtimer_run_queues hrtimer_run_queues
        hrtimer_interrupt hrtimer_* mod_timer* __mod_timer add_timer* del_timer*
        timer_delete* try_to_del_timer_sync detach_if_pending enqueue_timer
        process_one_work process_scheduled_works worker_thread queue_work_on
        __queue_work queue_delayed_work_on __flush_work flush_work* __flush_workqueue
        cancel_work_sync cancel_delayed_work* __cancel_work* insert_work
        delayed_work_timer_fn __do_softirq handle_softirqs do_softirq* run_ksoftirqd
        smpboot_thread_fn tasklet_* kthread kthread_* rcu_core* rcu_do_batch
        rcu_process_callbacks call_rcu* synchronize_* rcu_barrier* __call_rcu_common
        task_work_run notifier_call_chain blocking_notifier_call_chain
        atomic_notifier_call_chain raw_notifier_call_chain srcu_notifier_call_chain
        do_exit do_group_exit update_process_times tick_*
        __flush_smp_call_function_queue flush_smp_call_function_queue
        generic_smp_call_function_* smp_call_function_* on_each_cpu_* irq_work_*
        cpu_idle* do_idle cpu_startup_entry default_idle* cpuidle_* start_secondary
        async_run_entry_fn""",
    ),
    Mechanism(
        "allocates or frees memory for its caller",
        """mm/slab* mm/slub.c mm/slob.c mm/page_alloc.c mm/vmalloc.c mm/util.c mm/mempool.c
        mm/percpu* mm/dmapool.c mm/kmemleak.c mm/page_isolation.c mm/swap.c
        include/linux/slab.h include/linux/gfp.h mm/mempolicy.c mm/swap_state.c
        mm/mmzone.c lib/stackdepot.c mm/memcontrol.c include/linux/kasan.h kernel/dma/
        include/linux/mm.h mm/early_ioremap.c lib/percpu*""",
        """kmalloc* __kmalloc* kmem_cache_* __kmem_cache_* kzalloc* krealloc* __do_krealloc kfree
        kfree_sensitive kzfree kfree_const kvmalloc* __kvmalloc* kvfree* kmemdup*
        kstrdup* __kmem_* kmem_* slab_* __slab_* ___slab_alloc new_slab allocate_slab
        free_slab discard_slab deactivate_slab unfreeze_partials put_cpu_partial
        __put_partials get_partial* alloc_debug_* free_debug_* free_to_partial_list
        free_consistency_checks alloc_consistency_checks check_object check_slab
        check_bytes_and_report check_pad_bytes on_freelist object_err slab_err slab_fix
        slab_bug verify_slab __free_slab setup_object* init_object memcg_*
        cache_from_obj free_large_kmalloc __ksize ksize do_slab_free vmalloc* __vmalloc*
        vzalloc* vfree* __vunmap remove_vm_area alloc_pages* __alloc_pages*
        __get_free_pages get_zeroed_page __free_pages* free_pages* free_unref_*
        __free_one_page get_page_from_freelist rmqueue* __rmqueue* free_pcp*
        free_pcppages_bulk __folio_put* put_page* folio_put* release_pages mempool_*
        dma_pool_* pcpu_* __alloc_percpu* free_percpu rcu_free_sheaf* __pcs_* barn_*""",
    ),
    Mechanism(
        "counts references for its caller",
        """lib/refcount.c include/linux/refcount.h include/linux/kref.h lib/kobject.c lib/klist.c
        include/linux/atomic/ arch/*/include/asm/atomic* include/linux/percpu-refcount.h
        include/asm-generic/atomic* include/linux/kobject.h lib/ref_tracker.c""",
        """refcount_* __refcount_* kref_* kobject_get* kobject_put kobject_cleanup kobject_release
        klist_* get_device put_device percpu_ref_* atomic_* arch_atomic* ref_tracker_*
        dec_and_test*""",
    ),
    Mechanism(
        "handles a list, tree or map for its caller",
        """lib/list_debug.c lib/list* lib/llist.c lib/rbtree* lib/radix-tree.c lib/xarray.c
        lib/maple_tree.c lib/idr.c lib/rhashtable.c lib/plist.c lib/timerqueue.c
        lib/interval_tree* lib/assoc_array.c lib/bitmap* lib/find_bit* lib/sort.c
        lib/sbitmap.c lib/kfifo.c include/linux/list* include/linux/rculist*
        include/linux/rbtree* include/linux/hash* include/linux/llist.h
        include/linux/bit* include/linux/plist.h include/linux/xarray.h
        include/linux/radix* include/linux/idr.h include/linux/rhashtable*
        include/linux/klist.h arch/*/include/asm/bitops.h include/asm-generic/bitops/
        lib/generic-radix-tree.c include/linux/find.h include/linux/maple_tree.h
        include/linux/kfifo.h""",
        """__list_* list_* hlist_* __hlist_* llist_* rb_* __rb_* radix_tree_* __radix_tree_* xa_*
        __xa_* xas_* mas_* mtree_* idr_* ida_* rht_* rhashtable_* __rht_* __rhashtable_*
        rhltable_* plist_* timerqueue_* interval_tree_* assoc_array_* bitmap_*
        __bitmap_* find_*_bit* _find_* sort sort_r sbitmap_* __kfifo_* test_bit set_bit
        clear_bit assoc_* __genradix_*""",
    ),
    Mechanism(
        "handles strings or copies memory for its caller",
        """lib/string* lib/vsprintf.c lib/kstrtox.c lib/kasprintf.c lib/hexdump.c lib/ctype.c
        lib/usercopy.c lib/iov_iter.c lib/seq_buf.c lib/parser.c lib/memcat* lib/crc*
        lib/crypto/ lib/checksum.c lib/scatterlist.c lib/uaccess* lib/strn*
        lib/memweight.c lib/argv_split.c lib/cmdline.c lib/glob.c lib/raid6/ lib/iomap*
        lib/math/ lib/siphash.c lib/zlib* lib/lz* lib/zstd/ lib/xz/ mm/maccess.c
        arch/*/lib/ fs/seq_file.c include/linux/string* include/linux/fortify-string.h
        include/linux/uaccess* include/linux/uio.h arch/*/include/asm/uaccess*
        arch/*/include/asm/string* include/linux/seq_file.h include/linux/instrumented.h
        include/linux/kcsan* include/linux/compiler* include/asm-generic/rwonce.h
        include/linux/err.h arch/*/include/asm/io.h arch/*/include/asm/page*
        include/linux/highmem*""",
        """memcpy* __memcpy* memset* __memset* memmove* __memmove* memcmp memchr* memscan rep_movs*
        rep_stos* clear_page_* copy_page* copy_user_* __copy_user_* _copy_from_*
        _copy_to_* copy_from_* copy_to_* __copy_* raw_copy_* rep_* strlen strnlen strcpy
        strncpy strlcpy strscpy* strcat strncat strlcat strcmp strncmp strcasecmp
        strncasecmp strchr* strrchr strnchr strstr strnstr strsep strspn strcspn strpbrk
        strim strreplace sized_strscpy sysfs_streq match_string kstrto* _kstrto*
        simple_strto* snprintf vsnprintf sprintf vsprintf scnprintf vscnprintf sscanf
        vsscanf kasprintf kvasprintf* string string_nocheck pointer number format_decode
        vbin_printf bstr_printf widen_string hex_dump_* print_hex_dump seq_printf
        seq_vprintf seq_puts seq_putc seq_write seq_put_* seq_escape* csum_* crc*
        __get_user_* __put_user_* strncpy_from_* strnlen_user copyin copyout
        copy_page_from_iter* copy_page_to_iter* iov_iter_* sg_* csum_partial*
        __sw_hweight* inat_* __raw_* readb readw readl readq writeb writew writel writeq
        ioread* iowrite* memcpy_fromio memcpy_toio check_pointer* valid_string*
        restricted_pointer do_csum sysfs_emit*""",
    ),
    Mechanism(
        "dispatches to whatever handler is registered",
        """fs/read_write.c fs/ioctl.c fs/open.c fs/file_table.c fs/seq_file.c fs/proc/inode.c
        fs/proc/generic.c fs/kernfs/ fs/sysfs/file.c fs/debugfs/file.c fs/libfs.c
        fs/select.c fs/splice.c fs/char_dev.c drivers/base/core.c drivers/base/dd.c
        drivers/base/bus.c net/socket.c drivers/char/misc.c kernel/module/
        kernel/module.c init/main.c net/netfilter/core.c net/core/sock.c
        net/core/skbuff.c kernel/kprobes.c kernel/params.c kernel/sysctl.c
        fs/proc/proc_sysctl.c drivers/base/platform.c fs/sync.c fs/namei.c fs/stat.c
        fs/readdir.c""",
        """vfs_read vfs_write vfs_readv vfs_writev vfs_ioctl vfs_open vfs_fsync* vfs_poll
        vfs_iter_* vfs_mmap ksys_* do_sys_* do_vfs_ioctl __x64_sys_* __ia32_sys_*
        __se_sys_* __do_sys_* sys_* SyS_* new_sync_read new_sync_write call_read_iter
        call_write_iter __vfs_read __vfs_write do_iter_* do_readv* do_writev* __fput*
        ____fput do_dentry_open do_open* path_openat do_filp_open do_sys_open*
        chrdev_open seq_read seq_read_iter traverse proc_reg_* pde_* kernfs_fop_*
        kernfs_seq_* sysfs_kf_* sysfs_file_ops dev_attr_show dev_attr_store
        kobj_attr_show kobj_attr_store full_proxy_* simple_attr_* param_attr_*
        module_attr_* proc_sys_* sock_sendmsg* __sock_sendmsg sock_recvmsg*
        sock_write_iter sock_read_iter ____sys_* ___sys_* __sys_* sock_ioctl
        sock_do_ioctl do_one_initcall do_init_module load_module init_module_from_file
        idempotent_init_module free_module nf_hook_slow really_probe driver_probe_device
        __driver_* device_release misc_open do_syscall* call_usermodehelper* do_splice*
        splice_* kprobe_* opt_pre_handler __kprobe* kfree_skb* consume_skb skb_release_*
        __kfree_skb skb_free_head sk_free __sk_free sk_destruct __sk_destruct
        sock_alloc_send_* kernel_init* do_initcalls deliver_skb""",
    ),
)

_CLONE = re.compile(r"(?:\.(?:isra|constprop|part|cold|llvm|lto_priv)(?:\.\d+)?|\.\d+)+$")
_HEADER = re.compile(r"(?:^|/)(?:include/|arch/\w+/include/)")
_TOP_FOLDERS = re.compile(
    r"(?:^|.*?/)((?:arch|block|certs|crypto|drivers|fs|include|init|io_uring|ipc|kernel|lib|mm|net"
    r"|rust|samples|scripts|security|sound|tools|usr|virt)/.*)"
)


def base_name(function: str) -> str:
    """The name in the source: without the suffixes the compiler gives to copies and parts.

    >>> base_name("ath9k_htc_wait_for_target.isra.0.cold")
    'ath9k_htc_wait_for_target'
    """
    return _CLONE.sub("", function)


def source_path(source: str) -> str:
    """A source file within the kernel tree, from what debug information calls it.

    >>> source_path("/build/reproducible-path/linux-6.1.1/arch/x86/../../lib/string.c:12")
    'lib/string.c'
    >>> source_path("./include/linux/list.h")
    'include/linux/list.h'
    """
    path = source.rpartition(":")[0] or source
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    path = "/".join(parts)
    tree = re.match(r"(?:.*/)?linux-[\w.+~-]+/(.*)", path)
    if tree:
        path = tree[1]
    inside = _TOP_FOLDERS.match(path)
    return inside[1] if inside else path


def _any_of(words: str, rest: str) -> str:
    return "(?:" + "|".join(re.escape(w).replace(r"\*", rest) for w in words.split()) + ")"


@functools.cache
def _patterns() -> tuple[tuple[str, re.Pattern[str], re.Pattern[str]], ...]:
    return tuple(
        (
            mechanism.reason,
            re.compile(_any_of(mechanism.files, "[^/]*")),
            re.compile(_any_of(mechanism.functions, ".*") + r"\Z"),
        )
        for mechanism in MECHANISMS
    )


@functools.cache
def why_plumbing(function: str, source: str | None = None, module: str | None = None) -> str | None:
    """Why a frame is passed over in the search for whom to blame; ``None`` if it can be to blame.

    :param source: ``file`` or ``file:line`` of the function's own code, where known; it decides
    :param module: a module's own code is never passed over

    >>> why_plumbing("strlen")
    'handles strings or copies memory for its caller'
    >>> why_plumbing("string", module="violin") is None
    True
    >>> why_plumbing("list_del", "include/linux/list.h:146", "violin")
    'handles a list, tree or map for its caller'
    """
    name = base_name(function)
    if source is not None:
        path = source_path(source)
        if module is None or _HEADER.search(path):
            for reason, files, _ in _patterns():
                if files.match(path):
                    return reason
            if _HEADER.search(path):
                return "is inlined from a header for its caller"
    if module is not None:
        return None
    for reason, _, names in _patterns():
        if names.match(name):
            # A source file that is known and not plumbing's own decides, generic names do not.
            return reason if source is None else None
    return None
