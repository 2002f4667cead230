from __future__ import annotations

from trees import Tree

from oopsight.kdump import devices


def test_a_disk_needs_its_driver_its_bus_and_its_file_system(tree: Tree) -> None:
    assert devices.needed(tree.host) == {"virtio_blk", "virtio_pci", "ext4"}


def test_a_device_by_uuid(tree: Tree) -> None:
    tree.link("/dev/disk/by-uuid/1111-2222", "../../vda1")
    assert devices.block_name(tree.host.root, "UUID=1111-2222") == "vda1"
    assert devices.block_name(tree.host.root, "UUID=3333") is None


def test_a_raid_needs_its_level_and_the_disks_below(tree: Tree) -> None:
    tree.put("/proc/mounts", "/dev/md0 / xfs rw 0 0\n")
    tree.put("/sys/devices/virtual/block/md0/md/level", "raid6\n")
    tree.link("/sys/devices/virtual/block/md0/slaves/vda1", "/sys/class/block/vda1")
    tree.link("/sys/class/block/md0", "../../devices/virtual/block/md0")
    assert devices.needed(tree.host) == {"raid456", "virtio_blk", "virtio_pci", "xfs"}


def test_devices_that_stand_on_each_other_end(tree: Tree) -> None:
    tree.put("/proc/mounts", "/dev/dm-0 / xfs rw 0 0\n")
    tree.put("/sys/devices/virtual/block/dm-0/dm/name", "a\n")
    tree.link("/sys/devices/virtual/block/dm-0/slaves/dm-0", "/sys/class/block/dm-0")
    tree.link("/sys/class/block/dm-0", "../../devices/virtual/block/dm-0")
    assert devices.needed(tree.host) == {"dm_mod", "xfs"}


def test_a_server_needs_the_network_card_below_the_bond(tree: Tree) -> None:
    if tree.host.distro.captures_in_root:
        return  # the network is brought up by the host's own system there
    config = {"/etc/kdump.conf": "nfs store:/crash\n", "/etc/sysconfig/kdump": ""}[tree.config]
    tree.put(tree.config, config or 'KDUMP_SAVEDIR="nfs://store/crash"\n')
    tree.put("/proc/net/route", "Iface Destination\nbond0 00000000 0102A8C0 3 0 0 0 0 0 0 0\n")
    tree.link("/sys/class/net/bond0/lower_eth0", "../eth0")
    tree.link("/sys/class/net/eth0/device", "/sys/devices/pci0000:00/0000:00:05.0")
    tree.put("/sys/devices/pci0000:00/0000:00:05.0/vendor", "0x8086\n")
    tree.link("/sys/devices/pci0000:00/0000:00:05.0/driver", "/sys/bus/pci/drivers/e1000")
    assert devices.needed(tree.host) == {"e1000", "nfs"}
