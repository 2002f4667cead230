"""Names for what lies at an offset in memory, from the types that debug information declares."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from oopsight.errors import SymbolError
from oopsight.evidence.flow.instructions import ARGUMENTS
from oopsight.text import printable

if TYPE_CHECKING:
    from drgn import Program, Type

_DEEPEST = 12
# Slab caches whose objects are of a type with another name.
_CACHE_TYPES = {
    "filp": "file",
    "inode_cache": "inode",
    "files_cache": "files_struct",
    "signal_cache": "signal_struct",
    "sighand_cache": "sighand_struct",
    "cred_jar": "cred",
    "skbuff_head_cache": "sk_buff",
    "sock_inode_cache": "socket_alloc",
    "proc_inode_cache": "proc_inode",
    "shmem_inode_cache": "shmem_inode_info",
    "ext4_inode_cache": "ext4_inode_info",
    "kernfs_node_cache": "kernfs_node",
    "bdev_cache": "bdev_inode",
    "mnt_cache": "mount",
}
# Objects shorter than their type: struct kmem_cache ends in an array with an entry for each node
# that there is, task_struct in the FPU's state, as large as this machine's.
_CUT_SHORT = ("kmem_cache", "task_struct")

_T = TypeVar("_T")


def _found(look_up: Callable[[], _T]) -> _T | None:
    """A look-up in the debug information, which may lack anything.

    It may also hold what drgn does not know, as for functions written in assembly: "unknown DWARF
    type tag 0x3b", of a class of its own.
    """
    from drgn import BadDataError

    try:
        return look_up()
    except (LookupError, ValueError, TypeError, AttributeError, SymbolError, BadDataError):
        return None


def stripped(kind: Type) -> Type:
    """The type behind its typedefs."""
    from drgn import TypeKind

    for _ in range(_DEEPEST):
        if kind.kind != TypeKind.TYPEDEF:
            break
        kind = kind.type
    return kind


def pointee(kind: Type | None) -> Type | None:
    """What a pointer points to, if that is a complete type."""
    from drgn import TypeKind

    if kind is None:
        return None
    kind = stripped(kind)
    if kind.kind != TypeKind.POINTER:
        return None
    target = stripped(kind.type)
    if target.kind in (TypeKind.STRUCT, TypeKind.UNION) and target.is_complete():
        return target
    return None


def short_name(kind: Type) -> str:
    """The name as it stands in C, ``struct file``."""
    return printable(kind.type_name(), 128)


def member_at(kind: Type, offset: int) -> tuple[str, Type] | None:
    """The member at an offset: its name with the names of those it lies in, and its type.

    :param offset: bytes from the object's beginning
    :return: ``None`` where no member begins there
    """
    from drgn import TypeKind, sizeof

    path: list[str] = []
    for _ in range(_DEEPEST):
        kind = stripped(kind)
        if kind.kind == TypeKind.ARRAY:
            element = _found(lambda kind=kind: sizeof(kind.type)) or 0  # type: ignore[misc]
            if not element or offset < 0 or offset >= element * (kind.length or 0):
                return None
            path[-1:] = [f"{path[-1] if path else ''}[{offset // element}]"]
            kind, offset = kind.type, offset % element
            continue
        if kind.kind not in (TypeKind.STRUCT, TypeKind.UNION) or not kind.is_complete():
            return (".".join(path), kind) if offset == 0 and path else None
        chosen = None
        for member in kind.members or ():
            begin, rest = divmod(member.bit_offset, 8)
            size = _found(lambda member=member: sizeof(member.type)) or 0  # type: ignore[misc]
            if rest == 0 and begin <= offset < begin + max(size, 1):
                chosen = member
                break
        if chosen is None:
            return None
        if chosen.name:
            path.append(printable(chosen.name, 64))
        kind, offset = chosen.type, offset - chosen.bit_offset // 8
    return None


def parameter(prog: Program, name: str, start: int, register: str) -> tuple[str, Type] | None:
    """Name and type of the parameter that a function receives in a register.

    The compiler's copies of a function (``.isra``, ``.constprop``) may have lost parameters, so of
    them nothing is said.
    """
    if register not in ARGUMENTS or "." in name:
        return None
    function = _found(lambda: prog.function(name))
    if function is None or _found(lambda: function.address_) != start:
        return None
    parameters = _found(lambda: function.type_.parameters)
    position = ARGUMENTS.index(register)
    if parameters is None or position >= len(parameters):
        return None
    # A struct passed by value takes other registers than its position says.
    from drgn import TypeKind

    for before in parameters[: position + 1]:
        if stripped(before.type).kind in (TypeKind.STRUCT, TypeKind.UNION, TypeKind.FLOAT):
            return None
    chosen = parameters[position]
    return printable(chosen.name or f"argument {position + 1}", 64), chosen.type


def returned(prog: Program, name: str, start: int) -> Type | None:
    """The type that a function returns."""
    function = _found(lambda: prog.function(name))
    if function is None or _found(lambda: function.address_) != start:
        return None
    return _found(lambda: function.type_.type)


def variable(prog: Program, name: str, address: int) -> Type | None:
    """The type of a global variable.

    :param address: where it is; of a per-CPU variable the address that its symbol has
    """
    found = _found(lambda: prog.variable(name))
    if found is None or _found(lambda: found.address_) != address:
        return None
    return _found(lambda: found.type_)


def cache_type(prog: Program, cache: str, object_size: int) -> Type | None:
    """The struct that a slab cache's objects are, where its name and size say so."""
    name = _CACHE_TYPES.get(cache, cache)
    if not name.replace("_", "").isalnum():
        return None
    kind = _found(lambda: prog.type(f"struct {name}"))
    size = None if kind is None else _found(lambda: kind.size)
    if size is None:
        return None
    fits = size <= object_size < size + 64 or cache in _CUT_SHORT
    return kind if fits else None
