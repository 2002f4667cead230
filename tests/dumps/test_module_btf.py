"""Modules' structs from the BTF in the dump are those of the modules' debug files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import drgn
import pytest
from lab_dumps import Maker

from oopsight.session import open_session


def layout(kind: drgn.Type) -> tuple[Any, ...]:
    members = kind.members or ()
    return kind.size, tuple(
        (m.name or layout(m.type), m.bit_offset, m.bit_field_size) for m in members
    )


@pytest.mark.parametrize(
    ("series", "scenario"),
    [("6.1", "null-deref"), ("6.12", "null-deref"), ("7.2", "bug-on-state")],
)
def test_structs_of_a_module_that_the_kernel_has_not(
    maker: Maker, series: str, scenario: str
) -> None:
    dump = maker.get((scenario, series, "qmp"))
    own = open_session(dump.vmcore, own_symbols=True).prog
    file = next(Path(dump.debug_dir).rglob("qemu_fw_cfg.ko"))
    full = drgn.Program(drgn.Platform(drgn.Architecture.X86_64))
    module = full.extra_module("qemu_fw_cfg", create=True)
    module = module[0] if isinstance(module, tuple) else module
    module.try_file(file, force=True)
    for name in ("fw_cfg_file", "fw_cfg_vmcoreinfo", "fw_cfg_sysfs_entry"):
        assert layout(own.type(f"struct {name}")) == layout(full.type(f"struct {name}"))
    kobject = own.type("struct fw_cfg_sysfs_entry").member("kobj").type
    assert kobject.member("kref").type.size == 4
    with pytest.raises(LookupError):
        own.type("struct there_is_none_such")
