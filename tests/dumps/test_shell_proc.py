"""The prompt's numbers beside what the kernel itself said in /proc a moment before it crashed.

Between the two the guest ran on for about a second: a program ended and one or two began. A task
that was not switched to in that time must be the same in everything; of the rest each test says
what may have moved.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from typing import Any

import pytest
from drgn.helpers.linux.mmzone import for_each_online_pgdat
from guest_files import Guest
from lab_dumps import opened

import oopslab
from oopsight.shell import Shell
from oopsight.shell.output import Row

KERNELS = ("5.10", "6.1", "6.12", "7.2")
_TICK_NS = 10**7  # /proc counts in 1/100 s
_VM_READ, _VM_WRITE, _VM_EXEC, _VM_MAYSHARE = 1, 2, 4, 0x80
_EXITED = 1 << 20
"""Bytes that the program which wrote the files had, and gave back."""


@functools.cache
def _subject(kernel: str) -> tuple[Shell, Guest]:
    try:
        dump = oopslab.ensure("null-deref", kernel=kernel, capture="qmp")
    except oopslab.LabUnavailable as error:
        pytest.skip(str(error))
    return Shell(opened(dump)), Guest(dump.guest)


@functools.cache
def _still(kernel: str) -> tuple[int, ...]:
    """Tasks that have not run since the files were written.

    The kernel counts switches when a task leaves the CPU: of one that is on a run queue not yet.
    """
    shell, guest = _subject(kernel)
    found = []
    tasks = {int(task.pid): task for task in shell.tasks()}
    for pid in guest.pids:
        task, status = tasks.get(pid), guest.status(pid)
        if task is None:
            continue
        switches = int(task.nvcsw), int(task.nivcsw)
        recorded = status["voluntary_ctxt_switches"], status["nonvoluntary_ctxt_switches"]
        if switches == tuple(map(int, recorded)) and not task.on_rq:
            found.append(pid)
    assert len(found) > 30
    return tuple(found)


@functools.cache
def _user(kernel: str) -> tuple[int, ...]:
    guest = _subject(kernel)[1]
    found = tuple(pid for pid in _still(kernel) if guest.text(f"{pid}/maps"))
    assert len(found) >= 6
    return found


def _rows(kernel: str, command: str) -> tuple[Row, ...]:
    result = _subject(kernel)[0].run(command)
    assert result.error is None
    return result.rows


def _row(kernel: str, command: str) -> Row:
    (row,) = _rows(kernel, command)
    return row


@pytest.mark.parametrize("kernel", KERNELS)
def test_ps_has_the_tasks_with_name_parent_state_and_sizes(kernel: str) -> None:
    guest = _subject(kernel)[1]
    rows = {row["pid"]: row for row in _rows(kernel, "ps")}
    gone = set(guest.pids) - set(rows)
    assert [guest.status(pid)["Name"] for pid in gone] == ["snapshot"]
    states = {"S": "IN", "I": "ID", "D": "UN", "R": "RU", "T": "ST", "Z": "ZO"}
    for pid in _still(kernel):
        row, status = rows[pid], guest.status(pid)
        # /proc has a worker's queue, and more of a kernel thread's name than comm[16] holds.
        assert status["Name"].startswith(row["command"])
        assert row["ppid"] == int(status["PPid"])
        assert row["state"] == states[status["State"][0]]
        assert row["vsz_kib"] == int(status.get("VmSize", "0").split()[0])
        resident = int(status.get("VmRSS", "0").split()[0])
        if kernel in ("5.10", "6.1"):
            # Before Linux 6.2 /proc leaves out what each task counts for itself, up to 64 faults.
            assert resident <= row["rss_kib"] <= row["vsz_kib"]
        else:
            assert row["rss_kib"] == resident


@pytest.mark.parametrize("kernel", KERNELS)
def test_ps_has_start_times_and_limits(kernel: str) -> None:
    guest = _subject(kernel)[1]
    for pid in _still(kernel):
        assert _row(kernel, f"ps -t {pid}")["start_ns"] // _TICK_NS == int(guest.stat(pid)[19])
        limits = [
            tuple("unlimited" if v == 2**64 - 1 else str(v) for v in entry.values())
            for entry in _row(kernel, f"ps -r {pid}")["limits"].values()
        ]
        recorded = [(line[26:47].strip(), line[47:68].strip())
                    for line in guest.lines(f"{pid}/limits")[1:]]  # fmt: skip
        assert limits == recorded


@pytest.mark.parametrize("kernel", ["6.12", "7.2"])  # dumps with the pages of programs in them
def test_ps_has_command_line_and_environment(kernel: str) -> None:
    guest = _subject(kernel)[1]
    for pid in _user(kernel):
        row = _row(kernel, f"ps -a {pid}")
        assert row["arguments"] == guest.text(f"{pid}/cmdline").rstrip("\0").split("\0")
        assert row["environment"] == guest.text(f"{pid}/environ").rstrip("\0").split("\0")


def _mode(flags: int) -> str:
    bits = ((_VM_READ, "r"), (_VM_WRITE, "w"), (_VM_EXEC, "x"))
    mode = "".join(letter if flags & bit else "-" for bit, letter in bits)
    return mode + ("s" if flags & _VM_MAYSHARE else "p")


@pytest.mark.parametrize("kernel", KERNELS)
def test_vm_has_the_regions_with_their_modes_and_files(kernel: str) -> None:
    guest = _subject(kernel)[1]
    for pid in _user(kernel):
        recorded = []
        for line in guest.lines(f"{pid}/maps"):
            words = line.split(None, 5)
            start, end = (int(word, 16) for word in words[0].split("-"))
            file = words[5].strip() if len(words) > 5 else ""
            # [heap], [stack] and [vdso] are what /proc makes of regions without a file.
            recorded.append((start, end, words[1], "" if file.startswith("[") else file))
        ours = [
            (row["start"], row["end"], _mode(row["flags"]), row["file"])
            for row in _rows(kernel, f"vm {pid}")
        ]
        assert ours == recorded


@pytest.mark.parametrize("kernel", KERNELS)
def test_files_has_every_descriptor_and_its_path(kernel: str) -> None:
    from drgn import Object

    shell, guest = _subject(kernel)
    sockets = 0
    for pid in _user(kernel):
        recorded = [line.split("\t", 1) for line in guest.lines(f"{pid}/fd")]
        rows = _rows(kernel, f"files {pid}")
        assert [str(row["fd"]) for row in rows] == [number for number, _ in recorded]
        for row, (_, target) in zip(rows, recorded, strict=True):
            if target.startswith("socket:"):
                sockets += 1
                inode = Object(shell.prog, "struct inode *", row["inode"])
                assert (row["type"], f"socket:[{int(inode.i_ino)}]") == ("SOCK", target)
            else:
                assert row["path"] == target
    assert sockets


@pytest.mark.parametrize("kernel", KERNELS)
def test_net_has_the_sockets_and_devices(kernel: str) -> None:
    guest = _subject(kernel)[1]
    types = {"0001": "STREAM", "0002": "DGRAM", "0005": "SEQPACKET"}
    mine = {
        line.partition("[")[2].rstrip("]")
        for pid in _user(kernel)
        for line in guest.lines(f"{pid}/fd")
        if "\tsocket:" in line
    }
    sockets = [line.split() for line in guest.lines("net/unix")[1:]]
    listed = Counter(types[words[4]] for words in sockets if words[6] in mine)
    shown = Counter(row["type"] for pid in _user(kernel) for row in _rows(kernel, f"net -s {pid}"))
    assert shown
    assert shown == listed
    devices = [line.partition(":")[0].strip() for line in guest.lines("net/dev")[2:]]
    assert [row["name"] for row in _rows(kernel, "net")] == devices


@pytest.mark.parametrize("kernel", KERNELS)
def test_bt_has_the_calls_that_the_kernel_itself_unwinds(kernel: str) -> None:
    shell, guest = _subject(kernel)

    def places(names: list[tuple[str, int]]) -> list[int]:
        # A function may have two names; the address is the same.
        return [(shell.names.address_of(name) or 0) + offset for name, offset in names]

    for pid in _still(kernel):
        recorded = [
            (name, int(offset, 16))
            for name, _, offset in (c.partition("+") for c in guest.stack(pid))
        ]
        assert recorded
        frames = [f for f in _row(kernel, f"bt {pid}")["frames"] if not f["exception"]]
        ours = places([(f["function"], f["offset"] + 1) for f in frames])
        # The kernel leaves out the scheduler's own calls, which come first.
        assert ours[-len(recorded) :] == places(recorded)
        assert all("schedule" in f["function"] for f in frames[: -len(recorded)])


@pytest.mark.parametrize("kernel", KERNELS)
def test_bt_has_the_registers_of_the_system_call(kernel: str) -> None:
    guest = _subject(kernel)[1]
    for pid in _user(kernel):
        recorded = guest.text(f"{pid}/syscall").split()
        registers = _row(kernel, f"bt {pid}")["frames"][-1]["registers"]
        assert registers["orig_ax"] == int(recorded[0])
        names = ("di", "si", "dx", "r10", "r8", "r9", "sp", "ip")
        assert [hex(registers[name]) for name in names] == recorded[1:]


@pytest.mark.parametrize("kernel", KERNELS)
def test_sig_has_what_is_caught_and_ignored(kernel: str) -> None:
    guest = _subject(kernel)[1]
    for pid in _user(kernel):
        rows, status = _rows(kernel, f"sig {pid}"), guest.status(pid)
        ignored = sum(1 << row["signal"] - 1 for row in rows if row["handler"] == 1)
        caught = sum(1 << row["signal"] - 1 for row in rows if row["handler"] > 1)
        assert (ignored, caught) == (int(status["SigIgn"], 16), int(status["SigCgt"], 16))


@pytest.mark.parametrize("kernel", KERNELS)
def test_mount_has_what_is_mounted(kernel: str) -> None:
    guest = _subject(kernel)[1]
    ours = [(row["device"], row["directory"], row["type"]) for row in _rows(kernel, "mount")]
    # Since Linux 7.0 a file system without files lies below all others, where no path leads.
    assert [row for row in ours if row[2] != "nullfs"] == [
        tuple(line.split()[:3]) for line in guest.lines("mounts")
    ]


@pytest.mark.parametrize("kernel", KERNELS)
def test_mod_has_the_modules(kernel: str) -> None:
    guest = _subject(kernel)[1]
    recorded = [(w[0], int(w[1]), int(w[5], 16)) for w in map(str.split, guest.lines("modules"))]
    ours = [(row["name"], row["size"], row["base"]) for row in _rows(kernel, "mod")]
    assert sorted(ours) == sorted(recorded)


@pytest.mark.parametrize("kernel", KERNELS)
def test_irq_has_the_counts_of_each_cpu(kernel: str) -> None:
    guest = _subject(kernel)[1]
    cpus = len(guest.lines("interrupts")[0].split())
    ours = {row["irq"]: row for row in _rows(kernel, "irq -s")}
    equal = 0
    for line in guest.lines("interrupts")[1:]:
        number, *words = line.split()
        if not number[:-1].isdecimal():
            continue
        row, counts = ours[int(number[:-1])], [int(word) for word in words[:cpus]]
        now = list(row["counts"].values())
        # The disk was written to, by what wrote these files.
        disk = words[-1].startswith("virtio")
        assert all(a <= b if disk else a == b for a, b in zip(counts, now, strict=True))
        equal += counts == now
        assert (row["chip"], row["name"]) == (words[cpus], words[-1])
    assert equal >= 6


@pytest.mark.parametrize("kernel", KERNELS)
def test_kmem_has_the_slab_caches(kernel: str) -> None:
    guest = _subject(kernel)[1]
    ours = {row["name"]: row for row in _rows(kernel, "kmem -s")}
    recorded = {words[0]: words for words in map(str.split, guest.lines("slabinfo")[2:])}
    assert set(ours) == set(recorded)
    moved = {}
    for name, words in recorded.items():
        row = ours[name]
        _active, total, size, _per_slab, pages = map(int, words[1:6])
        assert row["slab_bytes"] == 4096 * pages
        assert row["object_size"] <= size
        assert row["allocated"] <= row["total"]
        if (row["total"], row["slabs"]) != (total, int(words[14])):
            moved[name] = row["slabs"] - int(words[14])
    # What the last second needed: files of /proc and requests to the disk; of others a slab or two.
    assert len(moved) <= 10, moved
    walked = r"bio|buffer_head|dentry|filp|proc_inode|lsm_inode|seq_file|skbuff_ext"
    others = {name: slabs for name, slabs in moved.items() if not re.match(walked, name)}
    assert all(abs(slabs) <= 3 for slabs in others.values()), others


@pytest.mark.parametrize("kernel", KERNELS)
def test_kmem_has_the_totals_of_memory(kernel: str) -> None:
    guest = _subject(kernel)[1]
    ours = {row["name"]: row["bytes"] for row in _rows(kernel, "kmem -i")}
    recorded = guest.meminfo()
    for name, title in (("total_mem", "MemTotal"), ("commit_limit", "CommitLimit")):
        assert ours[name] == recorded[title]
    assert ours["total_swap"] == recorded["SwapTotal"] == 0
    # A program of a megabyte ended, directories of /proc were walked, and freed pages stay on
    # lists of the CPUs, which MemFree has not.
    assert abs(recorded["Committed_AS"] - ours["committed"] - _EXITED) < _EXITED // 16
    assert abs(ours["cached"] - recorded["Cached"]) < _EXITED // 4
    assert 0 <= ours["slab"] - recorded["Slab"] < 2 * _EXITED
    # Of all files that tell it, the one that was written last. 7.2 takes 2 MiB of code at a time.
    counters = dict(line.split() for line in guest.lines("vmstat"))
    assert abs(ours["free"] - 4096 * int(counters["nr_free_pages"])) < 6 * _EXITED
    assert ours["free"] == 4096 * _in_free_lists(kernel)


def _in_free_lists(kernel: str) -> int:
    """Pages that the buddy allocator counts in its lists, which it need not keep equal."""
    zones = (z for node in for_each_online_pgdat(_subject(kernel)[0].prog) for z in node.node_zones)
    return sum(
        int(area.nr_free) << order for zone in zones for order, area in enumerate(zone.free_area)
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_kmem_has_the_zones(kernel: str) -> None:
    guest = _subject(kernel)[1]
    ours = {row["zone"]: row for row in _rows(kernel, "kmem -z")}
    zones = re.split(r"^Node \d+, zone +", guest.text("zoneinfo"), flags=re.MULTILINE)[1:]
    assert len(zones) == len(ours)
    for text in zones:
        row = ours[text.split()[0]]
        figures = dict(re.findall(r"^ +(min|low|high|present) +(\d+)", text, flags=re.MULTILINE))
        assert row["present"] == int(figures["present"])
        if row["present"]:
            assert row["watermarks"] == [int(figures[name]) for name in ("min", "low", "high")]


@pytest.mark.parametrize("kernel", KERNELS)
def test_kmem_has_the_counters_of_events(kernel: str) -> None:
    guest = _subject(kernel)[1]
    recorded = {name: int(value) for name, value in map(str.split, guest.lines("vmstat"))}
    ours = {
        row["name"].lower(): row["value"]
        for row in _rows(kernel, "kmem -V")
        if row["table"] == "vm_event_states" and row["name"].lower() in recorded
    }
    assert len(ours) > 40
    assert all(ours[name] >= recorded[name] for name in ours)
    assert sum(ours[name] == recorded[name] for name in ours) > len(ours) * 0.7


@pytest.mark.parametrize("kernel", KERNELS)
def test_kmem_has_the_regions_of_vmalloc(kernel: str) -> None:
    guest = _subject(kernel)[1]
    ours = Counter(row["size"] for row in _rows(kernel, "kmem -v"))
    lines = [line.split() for line in guest.lines("vmallocinfo")]
    assert len(lines) > 80
    # Stacks come and go with tasks; what is not yet given back is no region any more.
    fixed = Counter(
        int(words[1])
        for words in lines
        if "unpurged" not in words and not re.match(r"kernel_clone|dup_task|copy_process", words[2])
    )
    stack = 5 * 4096
    assert {size: n for size, n in ours.items() if size != stack} == {
        size: n for size, n in fixed.items() if size != stack
    }
    assert ours[stack] >= fixed[stack]


@pytest.mark.parametrize("kernel", KERNELS)
def test_dev_has_the_devices_and_the_io_memory(kernel: str) -> None:
    guest = _subject(kernel)[1]
    devices = [(int(words[0]), words[1]) for words in map(str.split, guest.lines("devices"))
               if len(words) == 2 and words[0].isdecimal()]  # fmt: skip
    assert sorted((row["major"], row["name"]) for row in _rows(kernel, "dev")) == sorted(devices)
    recorded = []
    for line in guest.lines("iomem"):
        span, _, name = line.strip().partition(" : ")
        start, end = (int(word, 16) for word in span.split("-"))
        recorded.append((start, end, name))
    ours = [(row["start"], row["end"], row["name"]) for row in _rows(kernel, "dev -i")]
    roots = [index for index, row in enumerate(ours) if row[2] in ("PCI IO", "PCI mem")]
    assert ours[roots[1] + 1 :] == recorded
    disks = [words[2] for words in map(str.split, guest.lines("diskstats"))]
    assert [row["name"] for row in _rows(kernel, "dev -d")] == disks


@pytest.mark.parametrize("kernel", KERNELS)
def test_timer_has_the_high_resolution_timers(kernel: str) -> None:
    guest = _subject(kernel)[1]
    ours = {
        (row["cpu"], row["clock"], row["name"]): row["expires_ns"]
        for row in _rows(kernel, "timer -r")
    }
    period = 4 * 10**9  # of the watchdog, which is armed again by its own last expiry
    cpu = clock = -1
    function = ""
    watched = 0
    for line in guest.lines("timer_list"):
        if found := re.match(r"cpu: (\d+)", line):
            cpu = int(found[1])
        elif found := re.match(r" clock (\d+)", line):
            clock = int(found[1])
        elif found := re.match(r" #\d+: <\w+>, (\w+)", line):
            function = found[1]
        elif (found := re.match(r" # expires at (\d+)-", line)) and function == "watchdog_timer_fn":
            watched += 1
            later = ours[cpu, clock, function] - int(found[1])
            assert later >= 0
            assert later % period == 0
    assert watched == 2


@pytest.mark.parametrize("kernel", KERNELS)
def test_sys_has_what_the_kernel_said_of_itself(kernel: str) -> None:
    guest = _subject(kernel)[1]
    ours: dict[str, Any] = {row["name"]: row["value"] for row in _rows(kernel, "sys")}
    assert ours["nodename"] == guest.text("sys/kernel/hostname").strip()
    assert ours["release"] == guest.text("sys/kernel/osrelease").strip()
    assert ours["version"] == guest.text("sys/kernel/version").strip()
    hours, minutes, seconds = map(int, ours["uptime"].split(":"))
    up = float(guest.text("uptime").split()[0])
    assert -1 <= 3600 * hours + 60 * minutes + seconds - up < 5
    load = [float(word) for word in ours["load_average"].split(",")]
    recorded = [float(word) for word in guest.text("loadavg").split()[:3]]
    # Counted anew every five seconds.
    assert all(abs(a - b) < 0.1 for a, b in zip(load, recorded, strict=True))
    taints = sum(1 << row["bit"] for row in _rows(kernel, "sys -t"))
    oops = 1 << 7
    assert taints == int(guest.text("sys/kernel/tainted")) | oops


@pytest.mark.parametrize("kernel", KERNELS)
def test_swap_and_runq_agree_that_nothing_is_swapped_and_who_ran(kernel: str) -> None:
    shell, guest = _subject(kernel)
    assert len(guest.lines("swaps")) == 1
    assert not _rows(kernel, "swap")
    running = {row["pid"] for row in _rows(kernel, "runq") if row["queue"] == "current"}
    assert int(shell.panic_task().pid) in running


@pytest.mark.parametrize("kernel", ["7.2"])
def test_mod_forgets_what_it_loaded(kernel: str) -> None:
    shell = Shell(_subject(kernel)[0].session.again())
    task = shell.task.value_()
    assert "virtio_blk.c: " not in shell.run("sym virtblk_probe").text
    shell.run("mod -s virtio_blk")
    assert "virtio_blk.c: " in shell.run("sym virtblk_probe").text
    assert shell.run("mod -d virtio_blk").error is None
    assert all(row["file"] is None for row in shell.run("mod").rows)
    assert "virtio_blk.c: " not in shell.run("sym virtblk_probe").text
    assert shell.task.value_() == task
