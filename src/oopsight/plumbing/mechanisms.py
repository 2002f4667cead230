"""The mechanisms of the kernel that act for any caller, with their files and functions."""

from __future__ import annotations

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


ALLOCATOR = "allocates or frees memory for its caller"
MECHANISMS = (
    Mechanism(
        "reports the crash",
        """kernel/panic.c lib/dump_stack.c lib/bug.c kernel/kexec* kernel/crash*
        kernel/watchdog* kernel/hung_task.c kernel/printk/ arch/*/kernel/dumpstack*
        arch/*/kernel/crash* arch/*/kernel/unwind* arch/*/kernel/machine_*
        arch/*/kernel/reboot.c kernel/reboot.c arch/*/include/asm/bug.h
        kernel/stacktrace.c""",
        """*core*panicking* add_taint arch_trigger_* assertfail bug bug_get_file_line
        check_hung_* check_panic_on_warn crash_kexec* crash_save_* crash_setup_regs die
        die_* dump_backtrace* dump_cpu_task dump_header dump_stack* dump_trace*
        emergency_restart fail_dump fixup_bug* handle_bug* is_valid_bugaddr
        machine_crash_shutdown machine_emergency_restart machine_halt machine_kexec
        machine_power_off machine_restart machine_shutdown nmi_cpu_backtrace* nmi_panic*
        nmi_trigger_* oops_* panic panic_smp* print_cpu_stall* print_other_cpu_stall
        rcu_dump_cpu_stacks rcu_print_* report_bug* rust_begin_unwind rust_helper_BUG
        rust_panic* sched_show_task should_fail* show_free_areas show_mem* show_regs*
        show_stack* show_task* show_trace* stack_trace_print* trigger_*_backtrace vpanic
        warn warn_alloc* warn_bogus* warn_printk warn_slowpath* watchdog
        watchdog_hardlockup_check watchdog_overflow_callback watchdog_timer_fn""",
    ),
    Mechanism(
        "checks memory accesses for all code",
        """mm/kasan/ mm/kfence/ mm/kmsan/ kernel/kcsan/ lib/ubsan.c mm/usercopy.c
        lib/fortify* mm/debug.c mm/page_owner.c lib/debugobjects.c kernel/kcov.c""",
        """addr_has_* asan_* bad_page* check_free_page* check_heap_object
        check_kernel_text* check_memory_region* check_new_page* check_object_size
        check_page_span check_region_inline check_stack_object complete_report_info
        create_object delete_object* describe_* dump_page end_report fortify_*
        free_page_is_bad* get_bug_type handle_object_size* handle_overflow hwasan_*
        kasan_* kcsan_* kfence_* kmemleak_* kmsan_* memory_is_* msan_* object_err
        print_address_* print_bad_pte print_memory_metadata print_report* print_track
        qlink_free read_word_at_a_time report_usercopy reset_page_owner* rmqueue*bad
        sanitizer_cov_* sanitizer_ptr* save_stack set_page_owner* slab_bug slab_err
        slab_fix slab_pad_check stack_chk_fail start_report tsan_* type_mismatch_*
        ubsan_* usercopy_abort usercopy_warn""",
    ),
    Mechanism(
        "enters the kernel on an exception, interrupt or system call",
        """arch/*/entry/ arch/*/kernel/traps.c arch/*/mm/fault.c arch/*/kernel/irq*
        arch/*/kernel/nmi* arch/*/kernel/apic/ arch/*/kernel/idt.c arch/*/kernel/ftrace*
        arch/*/kernel/alternative* arch/*/lib/retpoline.S kernel/entry/ kernel/irq/
        arch/*/kernel/smp.c kernel/extable.c arch/*/mm/extable.c""",
        """*call_init_calls alignment_* apic_timer_interrupt arch_timer_handler_* asm_*
        async_page_fault atomic_notifier_call_chain bad_area* brk_handler bug_handler
        call_break_hook call_on_irq_stack call_on_stack call_softirq clear_bhb_loop
        common_exception_* common_interrupt dabt_* data_access_* default_do_nmi
        divide_error do_DataAbort do_IRQ do_PrefetchAbort do_ade do_alignment* do_asce_*
        do_bad do_bad_area do_cp15* do_dat_exception do_debug* do_divide_error
        do_double_fault do_el0_* do_error_trap* do_fast_syscall_* do_general_protection
        do_int3* do_int80_* do_invalid_op do_kern_addr_fault do_kernel_fault
        do_mem_abort do_nmi* do_notify_resume do_page_fault* do_permission_fault
        do_report_trap do_sect_fault do_softirq_own_stack do_sp_pc_abort do_syscall_*
        do_tag_* do_tr do_translation_fault do_trap* do_unaligned do_undef*
        do_user_addr_fault do_user_fault double_fault early_brk64 el0_* el0t_* el1_*
        el1h_* el1t_* end_repeat_nmi enter_from_user_mode entry_FRED* entry_INT80*
        entry_SYSCALL* entry_SYSENTER* error_entry error_exit error_return ex_handler_*
        exc_* exit_to_user_mode exit_to_user_mode_loop fiq_* fixup_exception
        fpu_exception* fred_* ftrace_call ftrace_caller ftrace_graph_* ftrace_ops_*
        ftrace_regs_* ftrace_stub general_protection generic_handle_* gic_handle_irq
        handle_bad_stack handle_domain_irq handle_edge_irq handle_exception*
        handle_fasteoi* handle_int handle_irq_event* handle_level_irq handle_page_fault
        handle_percpu_devid_irq handle_simple_irq handle_stack_overflow handle_sys*
        hypervisor_callback ia32_sys_call idt_exit_to_user_mode idtentry_*
        indirect_thunk* instruction_access_* int3 interrupt_entry interrupt_handler*
        invalid_op invoke_syscall iret* irq_enter* irq_exit* irq_svc irq_usr irqentry_*
        kernelmode_fixup* ktime_get_with_*irq local_apic_timer_interrupt math_error
        mm_fault_error nmi_handle no_context notifier_call_chain notify_die pabt_*
        page_fault page_fault_oops paranoid_* pgm_check_* pgtable_bad program_check_*
        reschedule_interrupt reserved_fault* restore_all* ret_fast_* ret_from_*
        ret_slow_* ret_to_user retint_* secondary_startup* smp_*_interrupt smp_apic_*
        spurious_kernel_fault* stack_segment start_secondary* stub_clone* stub_execve*
        stub_fork stub_rt_sigreturn stub_vfork syscall_* sysenter_* sysret_*
        system_call* sysvec_* tracesys* unaligned_* und_* vector_* vectors x64_sys_call
        x86_indirect_* x86_return_thunk xen_do_hypervisor_callback
        xen_hypervisor_callback xen_pv_evtchn_do_upcall""",
    ),
    Mechanism(
        "checks the use of locks for all code",
        """kernel/locking/lockdep* kernel/locking/spinlock_debug.c
        kernel/locking/mutex-debug* include/linux/lockdep* lib/smp_processor_id.c""",
        """*_fixup_activate *_fixup_assert_init *_fixup_destroy *_fixup_free
        *_fixup_init *_is_static_object add_lock_to_list assign_lock_key bfs bfs_error
        cant_migrate cant_sleep check_chain_key check_deadlock check_flags
        check_irq_usage check_noncircular check_preemption_disabled check_prev_*
        check_prevs_* check_redundant check_unmap check_usage* check_wait_context
        count_matching_names debug_activate debug_check_no_locks* debug_check_no_obj*
        debug_deactivate debug_hrtimer_* debug_init debug_locks_off debug_mutex_*
        debug_object* debug_print_object debug_rcu_* debug_read_* debug_show_*
        debug_smp_processor_id debug_spin_* debug_timer_* debug_work_* debug_write_*
        do_task_blocked find_held_lock fs_reclaim_* graph_lock graph_unlock hlock_class
        lock_acquire* lock_contended lock_downgrade lock_is_held* lock_pin*
        lock_release* lock_set_class lock_unpin* lockdep_* look_up_lock_class
        mark_held_locks mark_lock* mark_usage might_fault* might_lock* might_resched
        might_sleep* print_bad_irq* print_circular_bug* print_collision print_deadlock*
        print_freed_lock* print_held* print_irq_inversion* print_irqtrace_events
        print_kernel_ident print_lock* print_unlock_* print_usage_bug* rcu_dynticks_*
        rcu_is_watching rcu_lockdep_* rcu_note_* rcu_preempt_deferred_* rcu_read_*
        reacquire_held_locks register_lock_class rwlock_bug save_trace sched_annotate_*
        schedule_bug schedule_debug spin_bug spin_dump static_obj this_cpu_preempt_check
        trace_hardirqs_* trace_irq* trace_preempt_* trace_softirqs_* usage_accumulate*
        usage_match* validate_chain*""",
    ),
    Mechanism(
        "takes or releases a lock for its caller",
        """kernel/locking/ include/linux/spinlock* include/linux/rwlock*
        include/linux/mutex* include/linux/rwsem* include/asm-generic/qspinlock*
        include/asm-generic/qrwlock* arch/*/include/asm/*lock* lib/lockref.c
        include/linux/seqlock.h kernel/rcu/update.c""",
        """*_read_lock *_read_unlock *_write_lock *_write_unlock arch_local_*
        atomic_dec_and_*lock* bh_lock_sock* bit_spin_* call_rwsem_* do_raw_*
        double_lock* double_rq_* down down_common* down_interruptible* down_killable*
        down_read* down_timeout* down_trylock* down_write* downgrade_write*
        grab_mcs_node hlist_bl_lock hlist_bl_unlock inode_lock* inode_unlock* ldsem_*
        local_bh_* local_irq_* local_lock* local_unlock* lock_sock* lock_two_*
        mcs_spin_* mutex_* osq_* percpu_down_* percpu_rwsem_* percpu_up_*
        preempt_count_* pv_hash pv_kick* pv_queued_* pv_wait* queue_read_* queue_write_*
        queued_* raw_local_* raw_read_* raw_rq_lock* raw_spin_* raw_write_* read_lock*
        read_seq* read_trylock* read_unlock* refcount_dec_and_*lock* release_sock
        remove_waiter rq_lock* rt_mutex_* rt_read_* rt_spin_* rt_write_* rtlock_*
        rtmutex_* rwbase_* rwsem_* seqcount_* spin_is_locked spin_lock* spin_trylock*
        spin_unlock* task_blocks_on_rt_mutex task_rq_lock* ticket_spin_* tty_ldisc_lock*
        tty_ldisc_ref_wait tty_lock* tty_unlock* up up_read* up_write* virt_spin_*
        wake_q_* write_lock* write_seq* write_trylock* write_unlock* ww_mutex_*""",
    ),
    Mechanism(
        "waits, sleeps or wakes for its caller",
        """kernel/sched/wait* kernel/sched/completion.c kernel/sched/swait.c
        include/linux/wait* kernel/time/sleep_timeout.c arch/*/kernel/process.c
        arch/*/kernel/stacktrace.c""",
        """add_wait_queue* autoremove_wake_* bit_wait* complete complete_all*
        complete_with_flags completion_done cond_resched* context_switch
        default_wake_function do_wait_for_* do_wait_intr* ep_poll_callback fdatawait_*
        filemap_fdatawait* finish_swait finish_task_switch finish_wait folio_lock*
        folio_unlock folio_wait_* fsleep init_wait* io_schedule* lock_buffer lock_page*
        msleep* out_of_line_wait_* pick_next_task* pollwake preempt_latency_*
        preempt_schedule* prepare_to_swait* prepare_to_wait* rcuwait_*
        remove_wait_queue* schedule schedule_hrtimeout* schedule_idle schedule_preempt_*
        schedule_rtlock schedule_timeout* schedule_user ssleep swake_up* switch_to*
        try_to_wake_up unlock_page usleep_range* wait_event* wait_for_* wait_on_*
        wait_woken wake_up wake_up_all wake_up_bit wake_up_common*
        wake_up_interruptible* wake_up_klogd* wake_up_locked* wake_up_poll*
        wake_up_process wake_up_q wake_up_state wake_up_sync* wake_up_var woken_wake_*
        yield yield_to""",
    ),
    Mechanism(
        "defers work for its caller",
        """include/linux/timer.h include/linux/workqueue.h""",
        """add_timer* call_rcu_bh call_rcu_sched call_timer_fn cancel_delayed_work*
        cancel_work* collect_expired_timers del_timer* delayed_work_timer_fn
        detach_expired_timer detach_if_pending detach_timer expire_timers
        flush_delayed_work flush_work hrtimer_active hrtimer_cancel hrtimer_init*
        hrtimer_start* hrtimer_try_to_cancel insert_work insert_wq_barrier
        irq_work_queue* kthread_flush_work* kthread_stop* lock_timer_base
        mod_delayed_work* mod_timer* queue_delayed_work* queue_work* rcu_barrier*
        start_flush_work synchronize_net synchronize_rcu* synchronize_sched*
        synchronize_srcu* task_work_add tasklet_kill tasklet_schedule* timer_delete*
        timer_shutdown* timer_wait_running try_to_del_timer* try_to_grab_pending
        wait_rcu_gp*""",
    ),
    Mechanism(
        ALLOCATOR,
        """mm/slab* mm/slub.c mm/slob.c mm/page_alloc.c mm/vmalloc.c mm/util.c
        mm/mempool.c mm/percpu* mm/dmapool.c mm/kmemleak.c mm/page_isolation.c mm/swap.c
        include/linux/slab.h include/linux/gfp.h mm/mempolicy.c mm/swap_state.c
        mm/mmzone.c lib/stackdepot.c mm/memcontrol.c include/linux/kasan.h
        include/linux/mm.h mm/early_ioremap.c lib/percpu* arch/*/mm/physaddr.c""",
        """acquire_slab add_partial alloc_consistency_checks alloc_contig_*
        alloc_debug_* alloc_frozen_* alloc_inode alloc_page* alloc_percpu*
        alloc_single_from_* alloc_slab* alloc_vmap_area* allocate_slab barn_*
        build_detached_freelist bulkfree_pcp_prepare cache_alloc* cache_flush*
        cache_free* cache_from_obj
        cache_grow* cache_reap check_bytes* check_object check_pad_bytes
        check_poison_obj check_slab clear_highpage clear_page* compound_head
        copy_highpage copy_page create_cache deactivate_slab destroy_large_folio devm_k*
        devres_* discard_slab dma_alloc_* dma_free_* dma_pool_* do_drain do_kmalloc*
        do_krealloc do_slab_free drain_alien_cache drain_array* drain_cpu_caches
        drain_freelist filemap_alloc_folio find_vm_area find_vmap_area* fixup_red_left
        flush_all flush_all_cpus_locked flush_cpu_slab folio_add_lru* folio_alloc*
        folio_batch_* folio_put* free_block free_compound_* free_consistency_checks
        free_debug_* free_frozen_* free_hot_cold_* free_large_kmalloc free_loop
        free_one_page free_page free_pages* free_pcp* free_percpu* free_slab
        free_the_page free_to_partial* free_unmap_vmap_area free_unref_* free_vm_area
        free_vmap_* freelist_* gen_pool_* get_any_partial get_free_page* get_freelist
        get_freepointer* get_page_from_freelist* get_partial* get_vm_area*
        get_zeroed_page* init_object ioremap_page_range kasprintf kcalloc* kfree
        kfree_const kfree_debugcheck kfree_sensitive kmalloc kmalloc_array*
        kmalloc_cache* kmalloc_index kmalloc_large* kmalloc_node* kmalloc_nolock*
        kmalloc_noprof kmalloc_obj* kmalloc_order* kmalloc_reserve* kmalloc_slab
        kmalloc_trace* kmalloc_track* kmalloc_type kmap* kmem_* kmemdup* krealloc* ksize
        kstrdup* kstrndup kunmap* kvasprintf* kvfree* kvmalloc* kvmemdup* kvrealloc*
        kvzalloc* kzalloc* kzfree lru_add_* maple_node_* maybe_wipe* mem_cgroup_charge*
        mem_cgroup_out_of_memory memcg_* memdup_* mempool_* mt_alloc_* new_slab*
        obj_cgroup_* on_freelist oom_kill_process out_of_memory page_cache_alloc
        page_frag_* page_pool_* page_to_* pagevec_* pcpu_* pcs_replace_* percpu_alloc*
        percpu_ref_* phys_addr* phys_to_* poison_obj post_alloc_hook
        prefetch_freepointer prep_compound_* prep_new_page* print_objinfo print_track*
        print_trailer purge_* put_cpu_partial* put_page* put_partials qlist_*
        quarantine_* radix_tree_node_* rcu_free_sheaf* rcu_free_slab refill_obj_stock
        release_nodes release_pages remap_vmalloc_range* remove_partial remove_vm_area
        reqsk_alloc* restore_bytes rmqueue* set_freepointer* set_track* setup_object*
        sgl_alloc* sgl_free* shutdown_cache sk_alloc sk_prot_alloc slab_add_kunit_errors
        slab_alloc* slab_bug* slab_destroy* slab_err slab_fix slab_free*
        slab_kmem_cache_release slab_lock slab_out_of_memory slab_pad_check
        slab_post_alloc_hook slab_pre_alloc_hook slab_unlock slab_update_freelist
        slab_want_init_* slabs_destroy slob_* slub_* strndup_user transfer_objects
        try_charge* unfreeze_partials* vb_alloc vb_free vcalloc verify_redzone*
        verify_slab vfree* virt_to_* vm_map_ram vm_unmap_* vma_alloc_* vmalloc* vmap
        vmap_* vmemdup_* vunmap* vzalloc*""",
    ),
    Mechanism(
        "handles socket buffers for its caller",
        """net/core/skbuff.c net/core/sock.c include/linux/skbuff.h""",
        """alloc_skb* build_skb* consume_skb* consume_stateless_* dev_alloc_skb
        dev_consume_* dev_kfree_skb* genlmsg_new kfree_skb* kmalloc_reserve*
        napi_alloc_* napi_build_* napi_consume_skb napi_get_frags* napi_skb_*
        netdev_alloc_* nlmsg_new pskb_copy* pskb_expand_* pskb_may_* pskb_pull*
        pskb_trim* skb_add_rx_frag* skb_clone* skb_copy* skb_cow* skb_dequeue*
        skb_drop_fraglist skb_drop_list skb_ensure_* skb_expand_head skb_free_*
        skb_header_* skb_orphan* skb_over_panic skb_pad* skb_panic skb_pull* skb_push*
        skb_put* skb_queue_head skb_queue_purge* skb_queue_tail skb_rbtree_purge
        sk_skb_reason_drop skb_attempt_defer_free skb_realloc_* skb_release_* skb_trim*
        skb_unclone skb_under_panic skb_unlink
        sock_alloc_send_* sock_kfree_* sock_kmalloc sock_rfree sock_wfree sock_wmalloc""",
    ),
    Mechanism(
        "counts references for its caller",
        """lib/refcount.c include/linux/refcount.h include/linux/kref.h lib/kobject.c
        lib/klist.c include/linux/atomic/ arch/*/include/asm/atomic*
        include/linux/percpu-refcount.h include/asm-generic/atomic*
        include/linux/kobject.h lib/ref_tracker.c""",
        """add_uevent_var create_dir dec_and_test* device_add_to* get_device klist_*
        kobj_kset_join kobj_kset_leave kobject_add* kobject_cleanup* kobject_create*
        kobject_del* kobject_get* kobject_init* kobject_namespace kobject_put*
        kobject_ref* kobject_release* kobject_rename kobject_set_name* kobject_uevent*
        kref_* kset_* percpu_count* percpu_ref_get* percpu_ref_put* put_device
        ref_tracker_* refcount_* sysfs_warn_dup""",
    ),
    Mechanism(
        "maps memory for a device's transfers for its caller",
        """kernel/dma/""",
        """check_unmap debug_dma_* dma_common_* dma_direct_* dma_map_* dma_sync_*
        dma_unmap_* iommu_dma_* swiotlb_*""",
    ),
    Mechanism(
        "keeps the device model for its caller",
        """drivers/base/core.c drivers/base/class.c drivers/base/devres.c""",
        """bus_add_device bus_remove_device class_dir_create_and_add cleanup_glue_dir
        device_add device_add_attrs device_add_groups device_create* device_del
        device_destroy device_initialize device_register device_release
        device_remove_file* device_rename device_unregister get_device_parent""",
    ),
    Mechanism(
        "keeps inodes, names and cached pages for its file system",
        """fs/dcache.c""",
        """add_to_page_cache* clear_nlink dentry_free dput dput_to_list drop_nlink
        fast_dput filemap_get_* find_get_entries find_get_pages* find_lock_entries ihold
        inc_nlink invalidate_inode_pages2* invalidate_mapping_pages* kill_fasync*
        set_nlink truncate_inode_pages*""",
    ),
    Mechanism(
        "handles a list, tree or map for its caller",
        """lib/list_debug.c lib/list* lib/llist.c lib/rbtree* lib/radix-tree.c
        lib/xarray.c lib/maple_tree.c lib/idr.c lib/rhashtable.c lib/plist.c
        lib/timerqueue.c lib/interval_tree* lib/assoc_array.c lib/bitmap* lib/find_bit*
        lib/sort.c lib/sbitmap.c lib/kfifo.c include/linux/list* include/linux/rculist*
        include/linux/rbtree* include/linux/hash* include/linux/llist.h
        include/linux/bit* include/linux/plist.h include/linux/xarray.h
        include/linux/radix* include/linux/idr.h include/linux/rhashtable*
        include/linux/klist.h arch/*/include/asm/bitops.h include/asm-generic/bitops/
        lib/generic-radix-tree.c include/linux/find.h include/linux/maple_tree.h
        include/linux/kfifo.h""",
        """assoc_array_* bsearch bucket_table_* find_*_bit* genradix_* hlist_* ida_*
        idr_* interval_tree_* kfifo_* klist_* lc_* list_add* list_del* list_empty*
        list_lru_add* list_lru_del* list_move* list_replace* list_rotate* list_sort
        list_splice* llist_* lockref_* ma_* mab_* mas_* mast_* mat_* mt_alloc_* mt_find*
        mt_next mt_prev mte_* mtree_* nested_table_* plist_* radix_tree_* rb_add*
        rb_erase* rb_find* rb_first* rb_insert* rb_last rb_link* rb_next* rb_prev
        rb_replace_node* rb_rotate* rhashtable_* rhltable_* rht_* sbitmap_* sg_alloc_*
        sg_copy_* sg_free* sg_init* sg_miter_* sg_next sg_pcopy* sort sort_r
        stack_depot_* stackdepot_* timerqueue_add timerqueue_iter* xa_* xas_*""",
    ),
    Mechanism(
        "copies between the kernel and user space for its caller",
        """lib/usercopy.c lib/iov_iter.c mm/maccess.c include/linux/uaccess*
        include/linux/uio.h arch/*/include/asm/uaccess* lib/uaccess* lib/strn*""",
        """access_ok arm_copy_* check_copy_size clear_user* copy_folio_* copy_from_iter*
        copy_from_kernel_* copy_from_user* copy_in_user copy_mc_* copy_overflow
        copy_page_from_* copy_page_to_* copy_safe_* copy_struct_from_* copy_to_iter*
        copy_to_kernel_* copy_to_user* copy_user copy_user_* copyin* copyout*
        csum_and_copy_* do_strncpy_from_user do_strnlen_user fault_in_* get_itimerspec64
        get_timespec64 get_user* hash_and_copy_* import_iovec instrument_copy_*
        iov_iter_copy* iov_iter_zero iterate_and_advance* memcpy_from_* memcpy_fromio
        memcpy_to_* memcpy_toio move_addr_to_* probe_kernel_* probe_user_*
        put_itimerspec64 put_timespec64 put_user* raw_copy_* simple_copy_to_*
        strncpy_from_* strnlen_user zero_user*""",
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
        """*_addr_string address_val argv_split atomic64_* atomic_add* atomic_cmpxchg*
        atomic_dec* atomic_fetch_* atomic_inc* atomic_read atomic_set atomic_sub*
        atomic_try_* atomic_xchg* bcmp bdev_name bin2hex bitmap_* bstr_printf change_bit
        check_pointer* chksum_* clear_bit* cmpxchg* const_udelay constant_test_*
        copy_page* crc16* crc32* crc64* crc7* crc8* crc_ccitt* crc_itu* crc_t10dif*
        crng_* csum_* date_str default_pointer delay delay_tsc dentry_name
        device_node_string div64_* div_s64* div_u64* do_csum do_div err_ptr error_string
        escaped_string eth_random_addr extract_crng* ffs file_dentry_name flags_string
        fls format_decode format_flags full_name_hash fwnode_string gcd get_option*
        get_random_* get_unaligned* glob_match* hex2bin hex_* hweight* instrument_*
        int_sqrt* ip4_string ip6_compressed_string ip6_string ip_compute_csum
        ip_fast_csum jhash* kstrto* lcm mac_address_string match_int match_number
        match_string match_token memchr* memcmp* memcpy* memmove* memparse memscan*
        memset* memweight memzero* ndelay num_to_str number parse_integer* pointer pointer_string
        print_hex_dump ptr_to_hashval ptr_to_id put_dec* put_unaligned* read_once*
        read_overflow* rep_movs* rep_stos* resource_string restricted_pointer rtc_str
        scnprintf seq_buf_* seq_escape* seq_printf seq_put_* seq_putc seq_puts
        seq_vprintf seq_write set_bit sg_nents* sg_zero_buffer simple_strn* simple_strto* siphash*
        sized_strscpy skip_atoi skip_spaces snprintf special_hex_number sprintf sscanf
        strcasecmp* strcat* strchr* strcmp* strcpy* strcspn* strim* string
        string_escape_mem string_get_size string_nocheck string_unescape strlcat*
        strlcpy* strlen* strncasecmp* strncat* strnchr* strncmp* strncpy* strnlen*
        strnstr* strpbrk* strrchr* strreplace strscpy* strsep* strspn* strstr*
        sw_hweight* swab* symbol_string sync_test_* sysfs_emit* sysfs_streq test_and_*
        test_bit* time_and_date time_str udelay udiv* uuid_string va_format
        valid_string* variable_test_* vbin_printf vscnprintf vsnprintf vsprintf vsscanf
        widen_string write_once* write_overflow* xchg* xor_blocks*""",
    ),
    Mechanism(
        "writes to the log for its caller",
        """kernel/printk/ drivers/tty/serial/8250/8250_core.c""",
        """call_console_drivers console_emit* console_flush* console_trylock*
        console_unlock* dev_alert dev_crit dev_dbg* dev_driver_string dev_emerg dev_err
        dev_info dev_notice dev_printk* dev_vprintk* dev_warn devkmsg_emit
        down_trylock_console* dynamic_dev_dbg* dynamic_pr_debug* io_serial_in
        io_serial_out log_store* msg_print_text netdev_err netdev_info netdev_printk*
        netdev_warn print_prefix* printk* serial8250_console_* trace_dump_stack*
        trace_printk* uart_console_write univ8250_console_* up_console_sem* vprintk*
        wait_for_xmitr""",
    ),
    Mechanism(
        "reaches a device's registers or bus for its caller",
        """arch/*/include/asm/io.h lib/iomap* lib/logic_pio.c drivers/usb/core/urb.c
        drivers/usb/core/message.c drivers/base/regmap/""",
        """bad_io_access inb inl inw ioread* iowrite* logic_in* logic_out* mmio_ins*
        mmio_outs* outb outl outw pio_read* pio_write* raw_readb raw_readl raw_readq
        raw_readw raw_writeb raw_writel raw_writeq raw_writew readb readl readq readw
        regmap_read* regmap_update_* regmap_write* usb_alloc_urb usb_bulk_msg
        usb_control_msg* usb_free_urb usb_get_descriptor usb_hcd_submit_urb
        usb_hcd_unlink_urb usb_internal_control_* usb_interrupt_msg usb_kill_anchored_*
        usb_kill_urb* usb_poison_* usb_start_wait_urb usb_submit_urb usb_unlink_urb
        writeb writel writeq writew""",
    ),
    Mechanism(
        "traces an event, or reads a clock, for any code",
        """kernel/trace/ kernel/events/ kernel/time/timekeeping.c kernel/sched/clock.c
        arch/*/kernel/tsc.c arch/*/kernel/pvclock.c arch/*/kernel/kvmclock.c""",
        """arch_counter_* depot_save_stack getnstimeofday* kernel_text_address
        ktime_get* kvm_clock_* kvm_sched_clock_read perf_tp_event perf_trace_* pvclock_*
        read_tsc save_stack_trace* sched_clock* stack_trace_save* trace_event_buffer_*
        trace_event_raw_event_* trace_sys_*""",
    ),
    Mechanism(
        "runs a cipher or digest for its caller",
        """lib/crypto/ crypto/skcipher.c crypto/shash.c crypto/ahash.c crypto/cipher.c
        crypto/aead.c crypto/cbc.c crypto/ctr.c crypto/ecb.c crypto/xts.c
        crypto/scatterwalk.c""",
        """aes_* aesni_* aesti_* blake2* cbc_* chacha_* crypto_aead_* crypto_ahash_*
        crypto_cbc_* crypto_cipher_* crypto_ctr_* crypto_ecb_* crypto_shash_*
        crypto_skcipher_* crypto_xor* crypto_xts_* ecb_* gf128mul_* poly1305_*
        scatterlist_* scatterwalk_* sha1_* sha256_* sha512_* shash_* skcipher_walk_*
        xts_*""",
    ),
    Mechanism(
        "schedules tasks, timers and deferred work",
        """kernel/sched/ kernel/time/ kernel/workqueue.c kernel/softirq.c kernel/rcu/
        kernel/smp.c kernel/kthread.c kernel/task_work.c kernel/stop_machine.c
        kernel/smpboot.c kernel/fork.c kernel/exit.c kernel/cpu.c kernel/irq_work.c
        include/linux/wait* include/linux/sched* kernel/async.c kernel/notifier.c
        kernel/tracepoint.c include/linux/timer.h kernel/freezer.c kernel/signal.c""",
        """async_run_entry_fn blocking_notifier_call_chain call_rcu* cpu_idle*
        cpu_startup_entry cpuidle_* default_idle* do_exit do_group_exit do_idle
        do_softirq* enqueue_timer flush_smp_call_function_queue flush_workqueue
        generic_smp_call_function_* handle_softirqs hrtimer_* irq_work_* kthread
        kthread_* on_each_cpu_* process_one_work process_scheduled_works
        raw_notifier_call_chain rcu_core* rcu_do_batch rcu_process_callbacks
        run_ksoftirqd run_timer_* run_timers* schedule_* smp_call_function_*
        timer_expire_remote tmigr_*
        smpboot_thread_fn srcu_notifier_call_chain synchronize_* task_work_run tasklet_*
        tick_* update_process_times worker_thread""",
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
        """SyS_* call_read_iter call_usermodehelper* call_write_iter chrdev_open
        deliver_skb dev_attr_show dev_attr_store device_release do_dentry_open
        do_filp_open do_init_module do_initcalls do_iter_* do_one_initcall do_open*
        do_readv* do_splice* do_sys_* do_syscall* do_vfs_ioctl do_writev* driver_* fput*
        free_module full_proxy_* ia32_sys_* idempotent_init_module init_module_from_file
        kernel_init* kernfs_fop_* kernfs_seq_* kobj_attr_show kobj_attr_store kprobe_*
        ksys_* load_module misc_open module_attr_* new_sync_read new_sync_write
        nf_hook_slow opt_pre_handler param_attr_* path_openat pde_* proc_reg_*
        proc_sys_* really_probe se_sys_* seq_read seq_read_iter simple_attr_*
        sk_destruct sk_free sock_do_ioctl sock_ioctl sock_read_iter sock_recvmsg*
        sock_sendmsg* sock_write_iter splice_* sys_* sysfs_file_ops sysfs_kf_* traverse
        vfs_fsync* vfs_ioctl vfs_iter_* vfs_mmap vfs_open vfs_poll vfs_read vfs_readv
        vfs_write vfs_writev x64_sys_*""",
        runs=True,
    ),
)
