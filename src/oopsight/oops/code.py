"""The instruction at fault, from the bytes that the ``Code:`` line shows around it.

x86 prints bytes and marks the first of the instruction, ``<48> 8b 40 10``; arm and arm64 print
words and mark the instruction, ``(f9400c00)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oopsight.cheap import replace
from oopsight.oops.facts import CrashReport, Instruction
from oopsight.oops.families import compiled

_LONGEST = 15
_BITS = {"x86_64": 64, "x86_32": 32, "arm64": 64, "arm": 32}
# Of a load or store's name, the sizes in bytes that it says; the register's width otherwise.
_ARM_SIZES = (("rb", 1), ("rsb", 1), ("rh", 2), ("rsh", 2), ("rsw", 4), ("rd", 8))
_ALIASES = {"sb": "r9", "sl": "r10"}
_ARM_LOADS = ("ld",)
_ARM_STORES = ("st",)


def decoded(report: CrashReport) -> CrashReport:
    """The report with :attr:`CrashReport.decoded` filled, where its text carries the bytes."""
    instruction = decode(report.code, report.machine, dict(report.registers))
    return replace(report, decoded=instruction) if instruction else report


def marked(code: str, machine: str) -> bytes | None:
    """The bytes from the marked instruction on, in memory order."""
    if machine in ("x86_64", "x86_32"):
        match = compiled(r"<([0-9a-f]{2})>((?: [0-9a-f]{2}\b){0,40})").search(code)
        return bytes.fromhex(match[1] + match[2])[:_LONGEST] if match else None
    match = compiled(r"\(([0-9a-f]{8})\)").search(code)
    return int(match[1], 16).to_bytes(4, "little") if match else None


def decode(
    code: str | None, machine: str | None, registers: Mapping[str, int]
) -> Instruction | None:
    """Disassemble the marked instruction.

    :param code: what stands behind ``Code:``
    :param machine: the processor's family, ``x86_64``, ``x86_32``, ``arm64`` or ``arm``
    :param registers: values by the names of the register dump
    :return: ``None`` where the line is lost, cut off, or of another machine

    >>> print(decode("90 <48> 8b 40 10", "x86_64", {"RAX": 0}).words)
    read of 8 bytes at rax+0x10 = 0x10, rax = 0
    """
    if not code or machine not in _BITS:
        return None
    data = marked(code, machine)
    if not data:
        return None
    engine = _engine(machine)
    one = next(engine.disasm(data, 0, 1), None)
    if one is None:
        return None
    known = {name.lower(): value for name, value in registers.items()}
    known |= {alias: known[name] for alias, name in _ALIASES.items() if name in known}
    memory = next((item for item in one.operands if item.type == _memory(machine)), None)
    text = f"{one.mnemonic} {one.op_str}".strip()
    raw = bytes(one.bytes).hex()
    touches = memory is not None and not one.mnemonic.startswith(("lea", "nop"))
    if memory is None or not touches:
        return Instruction(text, raw, None, None, None, None, 1, 0, None, text)
    base = one.reg_name(memory.mem.base) if memory.mem.base else None
    index = one.reg_name(memory.mem.index) if memory.mem.index else None
    scale = memory.mem.scale if machine.startswith("x86") else 1 << _shift(memory)
    address = _address(base, index, scale, memory.mem.disp, known, _BITS[machine])
    access, size = _access(machine, one, memory)
    return Instruction(
        text=text,
        bytes=raw,
        access=access,
        size=size,
        base=base,
        index=index,
        scale=scale,
        displacement=memory.mem.disp,
        address=address,
        words=_words(access, size, _operand(base, index, scale, memory.mem.disp), address,
                     {n: known[n] for n in (base, index) if n in known}),
    )  # fmt: skip


def _engine(machine: str) -> Any:
    import capstone

    arch, mode = {
        "x86_64": (capstone.CS_ARCH_X86, capstone.CS_MODE_64),
        "x86_32": (capstone.CS_ARCH_X86, capstone.CS_MODE_32),
        "arm64": (capstone.CS_ARCH_ARM64, capstone.CS_MODE_ARM),
        "arm": (capstone.CS_ARCH_ARM, capstone.CS_MODE_ARM),
    }[machine]
    engine = capstone.Cs(arch, mode)
    engine.detail = True
    return engine


def _memory(machine: str) -> int:
    import capstone

    kinds = {"arm64": capstone.arm64.ARM64_OP_MEM, "arm": capstone.arm.ARM_OP_MEM}
    return int(kinds.get(machine, capstone.x86.X86_OP_MEM))


def _shift(memory: Any) -> int:
    shift = getattr(memory, "shift", None)
    return int(shift.value) if shift is not None and shift.type and shift.value < 8 else 0


def _access(machine: str, one: Any, memory: Any) -> tuple[str | None, int | None]:
    """Whether it reads or writes, and how many bytes."""
    import capstone

    name = one.mnemonic
    if machine.startswith("x86"):
        # What reads and writes back faults as a write.
        return ("write" if memory.access & capstone.CS_AC_WRITE else "read"), memory.size
    access = (
        "read" if name.startswith(_ARM_LOADS) else "write" if name.startswith(_ARM_STORES) else None
    )
    size = next((bytes_ for end, bytes_ in _ARM_SIZES if name.endswith(end)), None)
    if size is None:
        first = one.reg_name(one.operands[0].reg)
        size = 8 if machine == "arm64" and first.startswith("x") else 4
        size *= 2 if name.startswith(("ldp", "stp", "ldxp", "stxp")) else 1
    return access, size


def _address(
    base: str | None, index: str | None, scale: int, displacement: int,
    known: Mapping[str, int], bits: int,
) -> int | None:  # fmt: skip
    total = displacement
    for name, factor in ((base, 1), (index, scale)):
        if name is None:
            continue
        if name not in known:
            return None
        total += known[name] * factor
    return total & ((1 << bits) - 1)


def _operand(base: str | None, index: str | None, scale: int, displacement: int) -> str:
    parts = [base] if base else []
    if index:
        parts.append(index if scale == 1 else f"{index}*{scale}")
    text = "+".join(parts)
    if displacement or not text:
        text += f"{'-' if displacement < 0 else '+' if text else ''}{abs(displacement):#x}"
    return text


def _words(
    access: str | None,
    size: int | None,
    operand: str,
    address: int | None,
    values: Mapping[str, int],
) -> str:
    unit = "byte" if size == 1 else "bytes"
    what = f"{access or 'access'} of {size} {unit} at {operand}"
    if address is not None and operand not in values:
        what += f" = {address:#x}"
    return what + "".join(
        f", {name} = {f'{value:#x}' if value else '0'}" for name, value in values.items()
    )
