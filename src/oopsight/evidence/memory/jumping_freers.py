"""Functions whose last act is a jump to what frees: they leave no frame in a record of that."""

from __future__ import annotations

from collections.abc import Collection

from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.modules.known_calls import FREES
from oopsight.evidence.modules.module_code import instructions
from oopsight.evidence.modules.module_roles import inner_functions, named
from oopsight.evidence.modules.modules import Modules
from oopsight.plumbing import base_name
from oopsight.session import Session


def jumping(
    session: Session,
    modules: Modules,
    reader: SessionReader,
    name: str,
    frees: Collection[str],
) -> tuple[str, ...]:
    """Of a module's functions that free, those that jump to the function of the kernel for that.

    :param name: of the module
    :param frees: names of the functions
    """
    module = next((one for one in modules.loaded if one.name == name and one.taints), None)
    code = inner_functions(session, module, reader) if module is not None else []
    return named(
        one
        for one in code
        if base_name(one.name) in frees
        for row in instructions(reader, one.start)
        if row.mnemonic == "jmp" and _frees(reader, row.operands)
    )


def _frees(reader: SessionReader, target: str) -> bool:
    known = reader.function(int(target, 16)) if target.startswith("0x") else None
    return known is not None and base_name(known[0]).lstrip("_") in FREES
