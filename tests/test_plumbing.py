from __future__ import annotations

import pytest

from oopsight.plumbing import base_name, source_path, why_plumbing
from oopsight.plumbing.mechanisms import MECHANISMS


@pytest.mark.parametrize(
    "function",
    [
        "memcpy_erms",
        "strnlen",
        "__list_del_entry_valid",
        "__list_add_valid_or_report",
        "kfree",
        "kmem_cache_free",
        "refcount_warn_saturate",
        "_raw_spin_lock_irqsave",
        "mutex_lock",
        "asm_exc_page_fault",
        "do_syscall_64",
        "process_one_work",
        "call_timer_fn.isra.0",
        "vfs_write",
        "proc_reg_write",
        "__x64_sys_ioctl",
        "string",
        "rb_erase",
        "panic",
    ],
)
def test_what_serves_any_caller_is_passed_over(function: str) -> None:
    assert why_plumbing(function) is not None


@pytest.mark.parametrize(
    "function",
    ["ext4_readdir", "tcp_v4_rcv", "s_show", "cache_show", "lists_all", "usb_probe"],
)
def test_what_acts_on_its_own_account_is_not(function: str) -> None:
    assert why_plumbing(function) is None


def test_a_module_is_never_plumbing_whatever_it_calls_its_functions() -> None:
    for name in ("kfree", "list_del", "memcpy", "vfs_write"):
        assert why_plumbing(name, None, "foreign") is None
        assert why_plumbing(name, "/src/foreign/main.c:3", "foreign") is None


def test_what_a_header_inlined_into_a_module_is_its_caller_s() -> None:
    assert why_plumbing("hlist_del", "/usr/src/linux-headers-6.1/include/linux/list.h:9", "foreign")
    assert why_plumbing("f", "./include/net/sock.h:9") == "is inlined from a header for its caller"


def test_the_source_file_decides_where_it_is_known() -> None:
    assert why_plumbing("anything", "mm/slub.c:12")
    assert why_plumbing("list_lru_walk", "mm/list_lru.c:12") is None


def test_source_paths_of_packages_and_trees() -> None:
    assert source_path("debian/build/../../lib/vsprintf.c:7") == "lib/vsprintf.c"
    assert source_path("/usr/src/linux-6.12.9/net/core/dev.c:7") == "net/core/dev.c"
    assert source_path("/build/x/linux-6.1/include/linux/list.h") == "include/linux/list.h"


def test_clones_are_the_function() -> None:
    assert base_name("f.constprop.0.isra.0") == base_name("f.cold") == "f"


def test_each_mechanism_has_a_reason_of_its_own() -> None:
    reasons = [mechanism.reason for mechanism in MECHANISMS]
    assert len(set(reasons)) == len(reasons)
