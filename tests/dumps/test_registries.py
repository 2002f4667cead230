"""What unloaded modules left behind is found where it is registered, on real dumps."""

from __future__ import annotations

import pytest
from lab_dumps import Maker, opened

from oopsight.evidence import Evidence
from oopsight.evidence.modules.dangling import DanglingPointers

LEFT = {
    "incident": {("slab_caches", "kmem_cache.name"), ("slab_caches", "kmem_cache.ctor")},
    "debugfs-after-unload": {("debugfs_files", "inode.i_private")},
    "kprobe-after-unload": {("kprobes", "hlist_head.first")},
    "kthread-after-unload": {("kernel_threads", "kthread.threadfn")},
    "netfilter-after-unload": {("netfilter_hooks", "nf_hook_entries.hooks[0].hook")},
    "notifier-after-unload": {("notifiers", "notifier_block.next")},
    "procfile-after-unload": {("proc_entries", "proc_dir_entry.proc_ops")},
    "timer-after-unload": {("timers", "timer_base.vectors[].first")},
    "hrtimer-after-unload": {
        ("hrtimers", "hrtimer_clock_base.active.rb_root.rb_root.rb_node"),
        # Where it is not the first of the tree, its parent leads to it.
        ("hrtimers", "hrtimer.node.node.rb_left"),
        ("hrtimers", "hrtimer.node.node.rb_right"),
    },
    "shrinker-after-unload": {("shrinkers", "shrinker.list.next")},
    "sysctl-after-unload": {("sysctl_tables", "ctl_table_header.ctl_table")},
    "work-after-unload": {("work_items", "worker.current_func")},
    "null-deref": set[tuple[str, str]](),
}


@pytest.mark.parametrize("scenario", LEFT)
def test_the_registry_that_holds_the_pointer_is_found(scenario: str, maker: Maker) -> None:
    session = opened(maker.get((scenario, "6.1", "qmp")))
    fact = Evidence(session).get(DanglingPointers)
    assert isinstance(fact, DanglingPointers)
    slots = {(d.registry, d.slot) for d in fact.found}
    if scenario == "timer-after-unload":  # which of the wheel's vectors varies
        slots = {(name, slot[:19] + slot[slot.index("]") :]) for name, slot in slots}
    # One of them: which, where several are named, depends on what else is in the tree.
    assert slots <= LEFT[scenario]
    assert bool(slots) == bool(LEFT[scenario])
    if LEFT[scenario]:
        assert fact.unchecked == ()
