"""Character devices by number, and the misc devices."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "character device"
REGISTERS = (
    "cdev_add",
    "cdev_device_add",
    "__register_chrdev",
    "misc_register",
    "*_register_device*",
)

_PROBE, _CDEV, _MISC = "struct probe", "struct cdev", "struct miscdevice"
_HASH = 255  # drivers/base/map.c


def search(look: Look) -> None:
    """``cdev_add()`` and ``misc_register()`` leave them."""
    with look.part("misc_list"):
        head = ("struct list_head", look.variable("misc_list", "struct list_head").address_, "")
        for device in look.entries(head, (_MISC, "list"), "misc device"):

            def label(device: int = device) -> str:
                return look.string(look.read(_MISC, device, "name"))

            for member in ("fops", "name", "parent"):
                look.at(_MISC, device, member, label)
    domain = look.variable("cdev_map", "struct kobj_map *").value_()
    seen, kinds = set(), dict[int, bool]()
    for bucket in range(_HASH):
        head = ("struct kobj_map", domain, f"probes[{bucket}]")
        for probe in look.chain(head, (_PROBE, "next"), "character device"):
            if probe in seen:
                continue
            seen.add(probe)
            label_ = _numbers(look, probe)
            for member in ("owner", "get", "lock"):
                look.at(_PROBE, probe, member, label_)
            device = look.at(_PROBE, probe, "data", label_)
            if device and not look.gone(device) and _is_cdev(look, probe, kinds):
                look.at(_CDEV, device, "ops", label_)
                look.at(_CDEV, device, "owner", label_)


def _numbers(look: Look, probe: int) -> str:
    number = int.from_bytes(look.prog.read(probe + look.offset(_PROBE, "dev"), 4), "little")
    return f"character device {number >> 20}:{number & 0xFFFFF}"


def _is_cdev(look: Look, probe: int, kinds: dict[int, bool]) -> bool:
    """Whether the entry was made by ``cdev_add()``: then it looks itself up with exact_match()."""
    get = look.read(_PROBE, probe, "get")
    if get not in kinds:
        try:
            kinds[get] = look.prog.symbol(get).name == "exact_match"
        except LookupError:
            kinds[get] = False
    return kinds[get]
