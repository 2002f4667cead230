"""Drivers on the buses, and the devices that are bound to them."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "driver"
REGISTERS = (
    "driver_register",
    "__*_driver_register",
    "__*_register_driver",
    "*_register_driver",
    "device_add",
    "device_register",
    "__platform_driver_*",
)

_SUBSYS, _DRIVER = "struct subsys_private", "struct device_driver"
_PRIVATE, _KSET, _DEVICE = "struct driver_private", "struct kset", "struct device"
_DEVICE_PRIVATE = "struct device_private"
_OF_DRIVER = ("probe", "remove", "shutdown", "owner", "groups", "pm")
_OF_DEVICE = ("driver", "type", "release", "class", "bus")


def search(look: Look) -> None:
    """``driver_register()`` and ``device_add()`` leave them."""
    kset = look.variable("bus_kset").value_()
    kobject = look.offset(_SUBSYS, "subsys.kobj")
    for entry in look.entries((_KSET, kset, "list"), ("struct kobject", "entry"), "bus"):
        bus = entry - kobject
        label = look.string(look.read("struct kobject", entry, "name"))
        with look.part(f"drivers of bus {label}"):
            head = (_SUBSYS, bus, "klist_drivers.k_list")
            for private in look.entries(head, (_PRIVATE, "knode_bus.n_node"), label):
                driver = look.at(_PRIVATE, private, "driver", label)
                if not driver or look.gone(driver):
                    continue
                name = f"{label} driver {look.string(look.at(_DRIVER, driver, 'name', label))}"
                look.all_at(_DRIVER, driver, _OF_DRIVER, name)
        with look.part(f"devices of bus {label}"):
            head = (_SUBSYS, bus, "klist_devices.k_list")
            for private in look.entries(head, (_DEVICE_PRIVATE, "knode_bus.n_node"), label):
                device = look.at(_DEVICE_PRIVATE, private, "device", label)
                if not device or look.gone(device):
                    continue
                look.all_at(_DEVICE, device, _OF_DEVICE, f"a device of bus {label}")
