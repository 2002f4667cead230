from __future__ import annotations

from oopsight.kdump.rehearse import memory

SAMPLE = """\
[   12.1] sysrq: Show Memory
[   12.1] Mem-Info:
[   12.1] active_anon:100 inactive_anon:900 isolated_anon:0
[   12.1]  active_file:1000 inactive_file:2000 isolated_file:0
[   12.1]  unevictable:5000 dirty:0 writeback:0
[   12.1]  slab_reclaimable:800 slab_unreclaimable:3000
[   12.1]  mapped:500 shmem:20 pagetables:100
[   12.1]  kernel_misc_reclaimable:0
[   12.1]  free:{free} free_pcp:30 free_cma:0
[   12.1] Node 0 active_anon:400kB inactive_anon:3600kB free:9kB
[   12.1] 6000 total pagecache pages
[   12.1] 40000 pages RAM
[   12.1] 0 pages HighMem/MovableOnly
[   12.1] 8000 pages reserved
"""


def test_what_can_be_given_back_is_not_used() -> None:
    (sample,) = memory.samples(SAMPLE.format(free=10_000))
    assert sample.managed == 32_000 * 4096
    # Of 32000: free 10000, files 3000 less 500 mapped ones, half of 800 in slabs.
    assert sample.used == (32_000 - 10_000 - 2_500 - 400) * 4096


def test_the_peak_is_the_worst_of_all_samples() -> None:
    console = SAMPLE.format(free=10_000) + SAMPLE.format(free=2_000) + SAMPLE.format(free=9_000)
    assert memory.peak(console) == (32_000 - 2_000 - 2_500 - 400) * 4096
    assert memory.peak("[ 1.0] nothing was asked") is None


def test_a_torn_answer_is_left_out() -> None:
    torn = SAMPLE.format(free=1).replace("slab_reclaimable:800", "slab_recl")
    assert memory.samples(torn) == []


def test_a_shortage_is_told_in_the_kernels_words() -> None:
    line = "[ 3.1] Out of memory: Killed process 77 (systemd-udevd) total-vm:1kB"
    assert memory.shortage(line) == "Out of memory: Killed process 77 (systemd-udevd)"
    panic = "[ 3.1] Kernel panic - not syncing: System is deadlocked on memory"
    assert memory.shortage(panic) == "Kernel panic - not syncing: System is deadlocked on memory"
    assert memory.shortage("[ 3.1] Initramfs unpacking failed: write error") is not None
    assert memory.shortage("[ 3.1] systemd[1]: Started memory watcher") is None
