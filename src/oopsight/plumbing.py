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
    """Names of functions, one a word; ``*`` stands for anything. A name is compared without its
    leading underscores, ``arch_``, ``native_`` and the suffixes of compilers."""
    runs: bool = False
    """It runs what others registered. It is passed over for what it called and for its callers;
    where the text shows nothing else, it is itself at the fault."""


MECHANISMS = (
    Mechanism(
        "reports the crash",
        """kernel/panic.c lib/dump_stack.c lib/bug.c kernel/kexec* kernel/crash*
        kernel/watchdog* kernel/hung_task.c kernel/printk/ arch/*/kernel/dumpstack*
        arch/*/kernel/crash* arch/*/kernel/unwind* arch/*/kernel/machine_*
        arch/*/kernel/reboot.c kernel/reboot.c arch/*/include/asm/bug.h
        kernel/stacktrace.c""",
        """dump_stack* show_stack* show_trace* show_regs* dump_backtrace* dump_trace*
        dump_header panic vpanic nmi_panic* panic_smp* warn warn_slowpath* warn_bogus*
        warn_alloc* report_bug* handle_bug* fixup_bug* is_valid_bugaddr
        bug_get_file_line bug die die_* oops_* rust_begin_unwind rust_helper_BUG
        rust_panic* *core*panicking* sched_show_task show_task* dump_cpu_task
        rcu_dump_cpu_stacks rcu_print_* print_other_cpu_stall print_cpu_stall*
        trigger_*_backtrace nmi_cpu_backtrace* nmi_trigger_* arch_trigger_*
        show_free_areas show_mem* add_taint emergency_restart assertfail crash_*
        machine_* check_panic_on_warn watchdog_timer_fn watchdog_overflow_callback
        watchdog_hardlockup_check""",
    ),
    Mechanism(
        "checks memory accesses for all code",
        """mm/kasan/ mm/kfence/ mm/kmsan/ kernel/kcsan/ lib/ubsan.c mm/usercopy.c
        lib/fortify* mm/debug.c mm/page_owner.c lib/debugobjects.c kernel/kcov.c""",
        """kasan_* asan_* hwasan_* check_memory_region* check_region_inline memory_is_*
        kmsan_* msan_* kcsan_* tsan_* kfence_* ubsan_* sanitizer_ptr* handle_overflow
        handle_object_size* end_report start_report describe_* print_address_*
        print_report* get_bug_type complete_report_info addr_has_* usercopy_abort
        usercopy_warn check_object_size check_heap_object check_kernel_text*
        check_stack_object check_page_span report_usercopy kmemleak_* type_mismatch_*
        rmqueue*bad object_err slab_err slab_bug slab_fix slab_pad_check bad_page*
        free_page_is_bad* check_free_page* check_new_page* print_bad_pte dump_page
        stack_chk_fail fortify_*
        sanitizer_cov_* read_word_at_a_time create_object delete_object*""",
    ),
    Mechanism(
        "enters the kernel on an exception, interrupt or system call",
        """arch/*/entry/ arch/*/kernel/traps.c arch/*/mm/fault.c arch/*/kernel/irq*
        arch/*/kernel/nmi* arch/*/kernel/apic/ arch/*/kernel/idt.c arch/*/kernel/ftrace*
        arch/*/kernel/alternative* arch/*/lib/retpoline.S kernel/entry/ kernel/irq/
        arch/*/kernel/smp.c kernel/extable.c arch/*/mm/extable.c""",
        """do_error_trap* do_invalid_op do_general_protection do_divide_error do_int3*
        do_double_fault do_debug* do_nmi do_page_fault* do_kern_addr_fault
        do_user_addr_fault do_kernel_fault do_user_fault do_mem_abort do_tag_*
        do_sp_pc_abort do_alignment* do_DataAbort do_PrefetchAbort do_bad_area do_bad
        do_sect_fault do_permission_fault do_el0_* do_cp15* do_undef* do_IRQ
        do_softirq_own_stack do_ade do_tr* exc_* asm_* error_entry error_exit
        error_return page_fault page_fault_oops async_page_fault general_protection
        invalid_op double_fault divide_error int3 stack_segment no_context bad_area*
        mm_fault_error kernelmode_fixup* pgtable_bad handle_page_fault
        spurious_kernel_fault* fixup_exception ex_handler_* entry_* el0_* el1_* el1h_*
        el0t_* el1t_* vector_* dabt_* pabt_* und_* irq_svc irq_usr fiq_* ret_from_*
        ret_fast_* ret_slow_* ret_to_user handle_exception* vectors call_on_irq_stack
        call_on_stack invoke_syscall do_syscall_* do_fast_syscall_* do_int80_*
        sysenter_* tracesys* system_call* sysret_* common_interrupt interrupt_entry
        interrupt_handler* retint_* apic_timer_interrupt smp_apic_* smp_*_interrupt
        sysvec_* reschedule_interrupt local_apic_timer_interrupt irqentry_* irq_enter*
        irq_exit* handle_irq_event* handle_domain_irq generic_handle_* gic_handle_irq
        handle_level_irq handle_fasteoi* handle_edge_irq nmi_handle default_do_nmi
        end_repeat_nmi bug_handler brk_handler reserved_fault* call_break_hook
        early_brk64 notify_die notifier_call_chain atomic_notifier_call_chain stub_*
        x86_return_thunk indirect_thunk* math_error fpu_exception* iret* xen_*
        hypervisor_callback handle_bad_stack handle_stack_overflow program_check_*
        pgm_check_* data_access_* instruction_access_* do_dat_exception do_asce_*
        do_report_trap do_unaligned unaligned_* alignment_* handle_int handle_sys*
        ktime_get_with_*irq start_secondary* secondary_startup* *call_init_calls
        x64_sys_call ia32_sys_call syscall_* x86_indirect_* do_nmi* common_exception_*
        ftrace_* restore_all* paranoid_* idtentry_*""",
    ),
    Mechanism(
        "checks the use of locks for all code",
        """kernel/locking/lockdep* kernel/locking/spinlock_debug.c
        kernel/locking/mutex-debug* include/linux/lockdep* lib/smp_processor_id.c""",
        """lock_acquire* lock_release* lock_is_held* lock_set_class lock_downgrade
        lock_contended lock_pin* lock_unpin* validate_chain* check_noncircular
        check_prev_* check_prevs_* check_irq_usage check_deadlock check_usage*
        check_redundant check_chain_key check_wait_context check_flags check_unmap
        mark_lock* mark_held_locks mark_usage register_lock_class look_up_lock_class
        assign_lock_key lockdep_* debug_check_no_locks* debug_mutex_* debug_spin_*
        debug_write_* debug_read_* spin_bug spin_dump rwlock_bug debug_locks_off
        print_circular_bug* print_irq_inversion* print_deadlock* print_unlock_*
        print_lock* print_usage_bug* print_freed_lock* print_bad_irq* print_kernel_ident
        print_collision print_held* trace_hardirqs_* trace_irq* trace_preempt_*
        trace_softirqs_* might_sleep* might_fault* might_resched might_lock* cant_sleep
        cant_migrate check_preemption_disabled debug_smp_processor_id
        this_cpu_preempt_check debug_check_no_obj* debug_object* debug_print_object
        debug_hrtimer_* debug_timer_* debug_work_* debug_rcu_* debug_init
        debug_deactivate debug_activate sched_annotate_* rcu_lockdep_* rcu_note_*
        rcu_is_watching rcu_dynticks_* rcu_preempt_deferred_* do_task_blocked
        schedule_bug schedule_debug rcu_read_*
        *_is_static_object *_fixup_activate *_fixup_free *_fixup_init
        *_fixup_assert_init *_fixup_destroy""",
    ),
    Mechanism(
        "takes or releases a lock for its caller",
        """kernel/locking/ include/linux/spinlock* include/linux/rwlock*
        include/linux/mutex* include/linux/rwsem* include/asm-generic/qspinlock*
        include/asm-generic/qrwlock* arch/*/include/asm/*lock* lib/lockref.c
        include/linux/seqlock.h kernel/rcu/update.c""",
        """raw_spin_* spin_lock* spin_unlock* spin_trylock* spin_is_locked do_raw_*
        read_lock* read_unlock* read_trylock* write_lock* write_unlock* write_trylock*
        raw_read_* raw_write_* pv_queued_* pv_wait* pv_kick* pv_hash virt_spin_*
        queue_write_* queue_read_* osq_* mcs_spin_* ticket_spin_* mutex_* ww_mutex_*
        rt_mutex_* rtlock_* rt_spin_* rt_read_* rt_write_* rwbase_* rwsem_* call_rwsem_*
        down down_* up up_read* up_write* downgrade_write* percpu_down_* percpu_up_*
        percpu_rwsem_* seqcount_* read_seq* write_seq* lock_sock* bit_spin_*
        hlist_bl_lock hlist_bl_unlock bh_lock_sock* local_bh_* local_lock* local_unlock*
        raw_local_* arch_local_* preempt_count_* task_rq_lock* rq_lock* raw_rq_lock*
        double_lock* double_rq_* atomic_dec_and_*lock* refcount_dec_and_*lock* wake_q_*
        queued_* release_sock
        ldsem_* *_write_lock *_write_unlock *_read_lock *_read_unlock""",
    ),
    Mechanism(
        "waits, sleeps or wakes for its caller",
        """kernel/sched/wait* kernel/sched/completion.c kernel/sched/swait.c
        include/linux/wait* kernel/time/sleep_timeout.c
        arch/*/kernel/process.c arch/*/kernel/stacktrace.c""",
        """schedule schedule_timeout* schedule_hrtimeout* schedule_preempt_* schedule_idle
        schedule_user schedule_rtlock io_schedule* preempt_schedule* cond_resched*
        context_switch switch_to* pick_next_task* preempt_latency_* yield yield_to
        bit_wait* out_of_line_wait_* wait_on_* wait_for_* do_wait_for_* do_wait_intr*
        wait_woken woken_wake_* wait_event* wake_up wake_up_all wake_up_bit
        wake_up_common* wake_up_klogd* wake_up_locked* wake_up_sync* wake_up_poll*
        wake_up_process wake_up_state wake_up_var wake_up_q wake_up_interruptible*
        try_to_wake_up complete complete_all* complete_with_flags completion_done
        autoremove_wake_* default_wake_function finish_wait prepare_to_wait*
        prepare_to_swait* finish_swait swake_up* add_wait_queue* remove_wait_queue*
        msleep* usleep_range* ssleep rcuwait_* pollwake ep_poll_callback folio_wait_*
        folio_lock* lock_page* folio_unlock unlock_page lock_buffer
        filemap_fdatawait*""",
    ),
    Mechanism(
        "defers work for its caller",
        """include/linux/timer.h include/linux/workqueue.h""",
        """queue_work* queue_delayed_work* insert_work insert_wq_barrier start_flush_work
        flush_work flush_delayed_work cancel_work* cancel_delayed_work*
        try_to_grab_pending mod_delayed_work* delayed_work_timer_fn add_timer*
        mod_timer* del_timer* timer_delete* timer_shutdown* try_to_del_timer*
        lock_timer_base hrtimer_start* hrtimer_cancel hrtimer_try_to_cancel
        hrtimer_active hrtimer_init* timer_wait_running synchronize_rcu*
        synchronize_sched* synchronize_srcu* synchronize_net wait_rcu_gp* rcu_barrier*
        call_rcu_sched call_rcu_bh kthread_stop* kthread_flush_work* tasklet_kill
        tasklet_schedule* irq_work_queue* task_work_add""",
    ),
    Mechanism(
        "allocates or frees memory for its caller",
        """mm/slab* mm/slub.c mm/slob.c mm/page_alloc.c mm/vmalloc.c mm/util.c mm/mempool.c
        mm/percpu* mm/dmapool.c mm/kmemleak.c mm/page_isolation.c mm/swap.c
        include/linux/slab.h include/linux/gfp.h mm/mempolicy.c mm/swap_state.c
        mm/mmzone.c lib/stackdepot.c mm/memcontrol.c include/linux/kasan.h kernel/dma/
        include/linux/mm.h mm/early_ioremap.c lib/percpu*
        arch/*/mm/physaddr.c""",
        """kmalloc* kzalloc* kcalloc* krealloc* kfree kfree_sensitive kfree_const kvfree*
        kvmalloc* kvzalloc* kvrealloc* kmem_* kmemdup* kstrdup* kvmemdup* kasprintf
        kvasprintf* kzfree memdup_* vmemdup_* strndup_user cache_alloc* cache_free*
        cache_grow* cache_flush* cache_reap slab_* allocate_slab alloc_slab* new_slab*
        get_partial* put_cpu_partial* unfreeze_partials* deactivate_slab discard_slab
        free_slab free_to_partial* flush_cpu_slab rcu_free_slab do_slab_free slub_*
        slob_* alloc_debug_* free_debug_* check_slab check_object check_bytes*
        on_freelist set_track* init_object setup_object* fixup_red_left maybe_wipe*
        get_freepointer* set_freepointer* freelist_* prefetch_freepointer qlist_*
        quarantine_* obj_cgroup_* refill_obj_stock free_block free_loop drain_array*
        do_kmalloc* do_drain alloc_page* alloc_frozen_* get_free_page* get_zeroed_page*
        free_pages* free_page free_unref_* free_hot_cold_* free_frozen_* free_one_page
        get_page_from_freelist* rmqueue* prep_new_page* post_alloc_hook prep_compound_*
        alloc_contig_* folio_alloc* folio_put* put_page* free_compound_*
        free_large_kmalloc page_frag_* vma_alloc_* alloc_vmap_area* vmalloc* vzalloc*
        vfree* vunmap* vmap_* vmap get_vm_area* remove_vm_area find_vm_area
        find_vmap_area* purge_* alloc_percpu* free_percpu* pcpu_* percpu_alloc*
        percpu_ref_* mempool_* dma_alloc_* dma_free_* dma_pool_* devm_k* devres_*
        gen_pool_* virt_to_* phys_addr* phys_to_* page_to_* try_charge*
        mem_cgroup_charge* radix_tree_node_* maple_node_* mt_alloc_* sk_prot_alloc
        sk_alloc reqsk_alloc* kmap* kunmap* clear_page* clear_highpage copy_page
        copy_highpage do_krealloc put_partials free_consistency_checks
        alloc_consistency_checks check_pad_bytes verify_slab memcg_* cache_from_obj
        ksize free_pcp* release_pages rcu_free_sheaf* pcs_* barn_*
        alloc_inode""",
    ),
    Mechanism(
        "handles socket buffers for its caller",
        """net/core/skbuff.c net/core/sock.c include/linux/skbuff.h""",
        """alloc_skb* build_skb* netdev_alloc_* napi_alloc_* napi_build_* napi_skb_*
        kmalloc_reserve* kfree_skb* consume_skb* consume_stateless_* skb_put* skb_push*
        skb_pull* skb_panic skb_over_panic skb_under_panic skb_free_* skb_release_*
        skb_clone* skb_copy* pskb_expand_* pskb_copy* pskb_trim* pskb_pull* pskb_may_*
        skb_pad* skb_trim* skb_realloc_* skb_queue_purge* skb_queue_head
        skb_queue_tail skb_dequeue* skb_unlink skb_unclone skb_header_* skb_orphan*
        skb_cow* skb_ensure_* dev_kfree_skb* sock_alloc_send_* sock_wmalloc sock_wfree
        sock_rfree sock_kmalloc sock_kfree_* dev_consume_* nlmsg_new genlmsg_new""",
    ),
    Mechanism(
        "counts references for its caller",
        """lib/refcount.c include/linux/refcount.h include/linux/kref.h lib/kobject.c
        lib/klist.c include/linux/atomic/ arch/*/include/asm/atomic*
        include/linux/percpu-refcount.h include/asm-generic/atomic*
        include/linux/kobject.h lib/ref_tracker.c""",
        """refcount_* kref_* kobject_get* kobject_put* kobject_add* kobject_del*
        kobject_init* kobject_uevent* kobject_cleanup* kobject_release*
        kobject_set_name* kobject_create* kobject_rename kobject_namespace kobject_ref*
        kset_* add_uevent_var ref_tracker_* percpu_ref_put* percpu_ref_get*
        percpu_count* device_add_to* sysfs_warn_dup get_device put_device dec_and_test*
        klist_*""",
    ),
    Mechanism(
        "keeps the device model for its caller",
        """drivers/base/core.c drivers/base/class.c drivers/base/devres.c""",
        """device_add device_del device_register device_unregister device_release device_create*
        device_destroy device_initialize device_rename get_device_parent cleanup_glue_dir
        bus_add_device bus_remove_device class_dir_create_and_add device_create_file
        device_remove_file* device_add_attrs device_add_groups""",
    ),
    Mechanism(
        "keeps inodes, names and cached pages for its file system",
        """fs/dcache.c""",
        """drop_nlink inc_nlink clear_nlink set_nlink ihold dput fast_dput dput_to_list dentry_free
        find_lock_entries find_get_entries find_get_pages* filemap_get_* truncate_inode_pages*
        invalidate_mapping_pages* invalidate_inode_pages2* add_to_page_cache* kill_fasync*""",
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
        """list_* hlist_* llist_* plist_* klist_* rb_* rbtree_* rhashtable_* rhltable_*
        rht_* radix_tree_* idr_* ida_* xa_* xas_* mas_* mtree_* mt_* ma_* maple_*
        timerqueue_add timerqueue_iter* interval_tree_* assoc_array_* kfifo_* sort
        sort_r do_swap heap_* bsearch lc_* genradix_* btree_* stackdepot_* stack_depot_*
        sg_init* sg_next sg_alloc_* sg_free* sg_copy_* sg_miter_* sg_pcopy* lockref_*
        find_*_bit* sbitmap_*""",
    ),
    Mechanism(
        "copies between the kernel and user space for its caller",
        """lib/usercopy.c lib/iov_iter.c mm/maccess.c include/linux/uaccess*
        include/linux/uio.h arch/*/include/asm/uaccess* lib/uaccess* lib/strn*""",
        """copy_from_user* copy_to_user* copy_in_user copy_user_* copy_user copy_from_iter*
        copy_to_iter* copy_page_to_* copy_page_from_* copyin* copyout*
        copy_struct_from_* copy_mc_* copy_folio_* copy_from_kernel_* copy_to_kernel_*
        copy_safe_* copy_overflow raw_copy_* simple_copy_to_* get_user* put_user*
        clear_user* strncpy_from_* strnlen_user do_strncpy_from_user do_strnlen_user
        probe_kernel_* probe_user_* fault_in_* memcpy_from_* memcpy_to_* memcpy_toio
        memcpy_fromio arm_copy_* iterate_and_advance* import_iovec iov_iter_copy*
        iov_iter_zero hash_and_copy_* csum_and_copy_* access_ok instrument_copy_*
        check_copy_size zero_user*""",
    ),
    Mechanism(
        "handles strings or copies memory for its caller",
        """lib/string* lib/vsprintf.c lib/kstrtox.c lib/kasprintf.c lib/hexdump.c
        lib/ctype.c lib/seq_buf.c lib/parser.c lib/memcat* lib/crc* lib/checksum.c
        lib/scatterlist.c lib/memweight.c lib/argv_split.c lib/cmdline.c lib/glob.c
        lib/raid6/ lib/math/ lib/siphash.c lib/zlib* lib/lz* lib/zstd/ lib/xz/
        arch/*/lib/ include/linux/string* include/linux/fortify-string.h
        arch/*/include/asm/string* include/linux/seq_file.h include/linux/instrumented.h
        include/linux/kcsan* include/linux/compiler* include/asm-generic/rwonce.h
        include/linux/err.h arch/*/include/asm/page* include/linux/highmem*""",
        """memcpy* memset* memmove* memcmp* memchr* memscan* memzero* bcmp memweight
        strlen* strnlen* strcpy* strncpy* strlcpy* strscpy* strcat* strncat* strlcat*
        strcmp* strncmp* strcasecmp* strncasecmp* strchr* strrchr* strnchr* strstr*
        strnstr* strsep* strspn* strcspn* strpbrk* strim* skip_spaces sized_strscpy
        strreplace kstrto* simple_strto* snprintf scnprintf vsnprintf vscnprintf sprintf
        vsprintf sscanf vsscanf string string_nocheck pointer number format_decode hex_*
        bin2hex hex2bin widen_string restricted_pointer ptr_to_hashval symbol_string
        resource_string bitmap_* find_first_* find_next_* find_last_* find_nth_*
        test_bit* set_bit clear_bit* change_bit test_and_* constant_test_*
        variable_test_* sync_test_* ffs fls hweight* bit_* crc16* crc32* crc64* crc7*
        crc8* crc_* chksum_* csum_* ip_compute_csum ip_fast_csum xor_* get_random_*
        jhash* siphash* full_name_hash atomic_* atomic64_* instrument_* read_once*
        write_once* xchg* cmpxchg* get_unaligned* put_unaligned* swab* div64_* div_*
        udiv* do_div delay delay_tsc const_udelay udelay ndelay copy_page* rep_*
        sysfs_streq match_string vbin_printf bstr_printf print_hex_dump seq_printf
        seq_vprintf seq_puts seq_putc seq_write seq_put_* seq_escape* sw_hweight*
        check_pointer* valid_string* do_csum sysfs_emit*
        va_format address_val *_addr_string hex_string bitmap_string mac_address_string uuid_string
        dentry_name file_dentry_name bdev_name flags_string time_and_date rtc_str escaped_string
        ip4_string ip6_string default_pointer pointer_string ptr_to_id fwnode_string""",
    ),
    Mechanism(
        "writes to the log for its caller",
        """kernel/printk/ drivers/tty/serial/8250/8250_core.c""",
        """printk* vprintk* console_unlock* console_flush* console_trylock* console_emit*
        down_trylock_console* log_store* up_console_sem* devkmsg_emit dev_printk*
        dev_vprintk* dev_info dev_err dev_warn dev_notice dev_crit dev_alert dev_emerg
        dev_dbg* dynamic_dev_dbg* dynamic_pr_debug* netdev_printk* netdev_info
        netdev_warn netdev_err dev_driver_string call_console_drivers msg_print_text
        print_prefix* serial8250_console_* univ8250_console_* uart_console_write
        wait_for_xmitr io_serial_in io_serial_out trace_dump_stack* trace_printk*""",
    ),
    Mechanism(
        "reaches a device's registers or bus for its caller",
        """arch/*/include/asm/io.h lib/iomap* lib/logic_pio.c drivers/usb/core/urb.c
        drivers/usb/core/message.c drivers/base/regmap/""",
        """readb readw readl readq writeb writew writel writeq inb inw inl outb outw outl
        raw_readb raw_readw raw_readl raw_readq raw_writeb raw_writew raw_writel
        raw_writeq ioread* iowrite* logic_in* logic_out* usb_submit_urb usb_kill_urb*
        usb_kill_anchored_* usb_poison_* usb_control_msg* usb_bulk_msg usb_interrupt_msg
        usb_start_wait_urb usb_internal_control_* usb_hcd_submit_urb usb_get_descriptor
        regmap_read* regmap_write* regmap_update_*""",
    ),
    Mechanism(
        "runs a cipher or digest for its caller",
        """lib/crypto/ crypto/skcipher.c crypto/shash.c crypto/ahash.c crypto/cipher.c
        crypto/aead.c crypto/cbc.c crypto/ctr.c crypto/ecb.c crypto/xts.c
        crypto/scatterwalk.c""",
        """crypto_skcipher_* crypto_shash_* crypto_ahash_* crypto_aead_* crypto_cipher_*
        crypto_cbc_* crypto_ctr_* crypto_ecb_* crypto_xts_* skcipher_walk_* shash_*
        aes_* aesti_* aesni_* xts_* cbc_* ecb_* sha1_* sha256_* sha512_* blake2*
        chacha_* poly1305_* gf128mul_* scatterwalk_* scatterlist_* crypto_xor*""",
    ),
    Mechanism(
        "schedules tasks, timers and deferred work",
        """kernel/sched/ kernel/time/ kernel/workqueue.c kernel/softirq.c kernel/rcu/
        kernel/smp.c kernel/kthread.c kernel/task_work.c kernel/stop_machine.c
        kernel/smpboot.c kernel/fork.c kernel/exit.c kernel/cpu.c kernel/irq_work.c
        include/linux/wait* include/linux/sched* kernel/async.c kernel/notifier.c
        kernel/tracepoint.c include/linux/timer.h kernel/freezer.c kernel/signal.c""",
        """schedule_* call_timer_fn expire_timers run_timers* run_timer_* hrtimer_*
        detach_if_pending enqueue_timer process_one_work process_scheduled_works
        worker_thread flush_workqueue do_softirq* handle_softirqs run_ksoftirqd
        smpboot_thread_fn tasklet_* kthread kthread_* rcu_core* rcu_do_batch
        rcu_process_callbacks call_rcu* synchronize_* task_work_run
        blocking_notifier_call_chain raw_notifier_call_chain srcu_notifier_call_chain
        do_exit do_group_exit update_process_times tick_* flush_smp_call_function_queue
        generic_smp_call_function_* smp_call_function_* on_each_cpu_* irq_work_*
        cpu_idle* do_idle cpu_startup_entry default_idle* cpuidle_* async_run_entry_fn""",
        runs=True,
    ),
    Mechanism(
        "dispatches to whatever handler is registered",
        """fs/read_write.c fs/ioctl.c fs/open.c fs/file_table.c fs/seq_file.c
        fs/proc/inode.c fs/proc/generic.c fs/kernfs/ fs/sysfs/file.c fs/debugfs/file.c
        fs/libfs.c fs/select.c fs/splice.c fs/char_dev.c drivers/base/core.c
        drivers/base/dd.c drivers/base/bus.c net/socket.c drivers/char/misc.c
        kernel/module/ kernel/module.c init/main.c net/netfilter/core.c kernel/kprobes.c
        kernel/params.c kernel/sysctl.c fs/proc/proc_sysctl.c drivers/base/platform.c
        fs/sync.c fs/namei.c fs/stat.c fs/readdir.c""",
        """vfs_read vfs_write vfs_readv vfs_writev vfs_ioctl vfs_open vfs_fsync* vfs_poll
        vfs_iter_* vfs_mmap ksys_* do_sys_* do_vfs_ioctl x64_sys_* ia32_sys_* se_sys_*
        sys_* SyS_* new_sync_read new_sync_write call_read_iter call_write_iter
        do_iter_* do_readv* do_writev* fput* fput do_dentry_open do_open* path_openat
        do_filp_open chrdev_open seq_read seq_read_iter traverse proc_reg_* pde_*
        kernfs_fop_* kernfs_seq_* sysfs_kf_* sysfs_file_ops dev_attr_show dev_attr_store
        kobj_attr_show kobj_attr_store full_proxy_* simple_attr_* param_attr_*
        module_attr_* proc_sys_* sock_sendmsg* sock_sendmsg sock_recvmsg*
        sock_write_iter sock_read_iter sock_ioctl sock_do_ioctl do_one_initcall
        do_init_module load_module init_module_from_file idempotent_init_module
        free_module nf_hook_slow really_probe driver_* device_release misc_open
        do_syscall* call_usermodehelper* do_splice* splice_* kprobe_* opt_pre_handler
        sk_free sk_destruct kernel_init* do_initcalls deliver_skb""",
        runs=True,
    ),
)

_CLONE = re.compile(
    r"(?:\.(?:isra|constprop|part|cold|llvm|lto_priv|cfi_jt|cfi|__uniq|resolved)(?:\.\d+)*|\.\d+)+$"
)
_DECORATION = re.compile(r"_*(?:(?:arch|native)_+)?")
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
def _patterns() -> tuple[tuple[Mechanism, re.Pattern[str], re.Pattern[str]], ...]:
    return tuple(
        (
            mechanism,
            re.compile(_any_of(mechanism.files, "[^/]*")),
            re.compile(_any_of(mechanism.functions, ".*") + r"\Z"),
        )
        for mechanism in MECHANISMS
    )


def _bare(function: str) -> str:
    name = base_name(function)
    decoration = _DECORATION.match(name)
    return name[decoration.end() :] if decoration else name


@functools.lru_cache(maxsize=1 << 14)
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
    if source is not None:
        path = source_path(source)
        if module is None or _HEADER.search(path):
            for mechanism, files, _ in _patterns():
                if files.match(path):
                    return mechanism.reason
            if _HEADER.search(path):
                return "is inlined from a header for its caller"
    if module is not None:
        return None
    name = _bare(function)
    for mechanism, _, names in _patterns():
        if names.match(name):
            # A source file that is known and not plumbing's own decides, generic names do not.
            return mechanism.reason if source is None else None
    return None


@functools.lru_cache(maxsize=1 << 14)
def why_serves(function: str) -> str | None:
    """As :func:`why_plumbing` for a bare name, but what runs others' code can be to blame.

    Console text names the place where the kernel noticed; a timer queue or a file table that is
    broken there has no better name.

    >>> why_serves("kfree"), why_serves("run_timer_softirq")
    ('allocates or frees memory for its caller', None)
    """
    name = _bare(function)
    for mechanism, _, names in _patterns():
        if not mechanism.runs and names.match(name):
            return mechanism.reason
    return None


def file_serves(path: str) -> bool:
    """Whether a source file serves any caller, so that its caller's file is meant."""
    path = source_path(path)
    return _HEADER.search(path) is not None or any(files.match(path) for _, files, _ in _patterns())
