"""Kernel code that acts for any caller, and so is passed over in the search for whom to blame.

A crash in ``strlen`` is the fault of whoever handed it the string. Each mechanism has its source
files, which decide where they are known, and its functions, which decide otherwise. What a driver,
file system or protocol does on its own account never stands here, nor does anything in a module
except what a header of the kernel inlined there.
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from oopsight.plumbing.mechanisms import MECHANISMS, Mechanism

_CLONE = re.compile(
    r"(?:\.(?:isra|constprop|part|cold|llvm|lto_priv|cfi_jt|cfi|__uniq|resolved)(?:\.\d+)*|\.\d+)+$"
)
_DECORATION = re.compile(r"_*(?:(?:arch|native)_+)?")
_HEADER = re.compile(r"(?:^|/)(?:include/|arch/\w+/include/)")
_TOP_FOLDERS = re.compile(
    r"(?:^|.*?/)((?:arch|block|certs|crypto|drivers|fs|include|init|io_uring|ipc|kernel|lib|mm|net"
    r"|rust|samples|scripts|security|sound|tools|usr|virt)/.*)"
)


def base_name(function: str) -> str:
    """The name in the source: without the suffixes the compiler gives to copies and parts.

    >>> base_name("ath9k_htc_wait_for_target.isra.0.cold")
    'ath9k_htc_wait_for_target'
    """
    return _CLONE.sub("", function)


def is_part(function: str, whole: str) -> bool:
    """Whether it is the part of another function that the compiler has put elsewhere.

    >>> is_part("loop_add.cold", "loop_add"), is_part("loop_add.cold.12", "loop_add")
    (True, True)
    >>> is_part("loop_add.isra.0", "loop_add"), is_part("loop_add", "loop_add")
    (False, False)
    """
    return function.startswith(f"{whole}.cold")


def source_path(source: str) -> str:
    """A source file within the kernel tree, from what debug information calls it.

    >>> source_path("/build/reproducible-path/linux-6.1.1/arch/x86/../../lib/string.c:12")
    'lib/string.c'
    >>> source_path("./include/linux/list.h")
    'include/linux/list.h'
    """
    path = source.rpartition(":")[0] or source
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    path = "/".join(parts)
    tree = re.match(r"(?:.*/)?linux-[\w.+~-]+/(.*)", path)
    if tree:
        path = tree[1]
    inside = _TOP_FOLDERS.match(path)
    return inside[1] if inside else path


@functools.cache
def _files() -> tuple[tuple[Mechanism, re.Pattern[str]], ...]:
    def any_of(words: str) -> str:
        return "|".join(re.escape(word).replace(r"\*", "[^/]*") for word in words.split())

    return tuple((one, re.compile(f"(?:{any_of(one.files)})")) for one in MECHANISMS)


class _Names(NamedTuple):
    """All function names at once. Compiling them as patterns would take longer than a report."""

    whole: dict[str, list[int]]
    begins: dict[str, list[int]]
    """Without the ``*`` that stands for any rest."""
    others: tuple[tuple[int, tuple[str, ...]], ...]
    """With a ``*`` elsewhere, as the parts between; few."""
    longest: int


@functools.cache
def _names() -> _Names:
    whole: dict[str, list[int]] = {}
    begins: dict[str, list[int]] = {}
    others = []
    for number, mechanism in enumerate(MECHANISMS):
        for word in mechanism.functions.split():
            if "*" not in word:
                whole.setdefault(word, []).append(number)
            elif word.endswith("*") and word.count("*") == 1:
                begins.setdefault(word[:-1], []).append(number)
            else:
                others.append((number, tuple(word.split("*"))))
    return _Names(whole, begins, tuple(others), max(map(len, begins)))


def _mechanisms(function: str) -> list[Mechanism]:
    """Those with a name that fits, in their order."""
    names, name = _names(), _bare(function)
    found = set(names.whole.get(name, ()))
    for length in range(1, min(len(name), names.longest) + 1):
        found.update(names.begins.get(name[:length], ()))
    found.update(number for number, parts in names.others if _consists_of(name, parts))
    return [MECHANISMS[number] for number in sorted(found)]


def _consists_of(name: str, parts: tuple[str, ...]) -> bool:
    """Whether a name has the parts in their order, the first and last at its ends."""
    first, *between, last = parts
    if not name.startswith(first):
        return False
    at = len(first)
    for part in between:
        at = name.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return name.endswith(last, at)


def _bare(function: str) -> str:
    name = base_name(function)
    decoration = _DECORATION.match(name)
    return name[decoration.end() :] if decoration else name


@functools.lru_cache(maxsize=1 << 14)
def why_plumbing(function: str, source: str | None = None, module: str | None = None) -> str | None:
    """Why a frame is passed over in the search for whom to blame; ``None`` if it can be to blame.

    :param source: ``file`` or ``file:line`` of the function's own code, where known; it decides
    :param module: a module's own code is never passed over

    >>> why_plumbing("strlen")
    'handles strings or copies memory for its caller'
    >>> why_plumbing("string", module="violin") is None
    True
    >>> why_plumbing("list_del", "include/linux/list.h:146", "violin")
    'handles a list, tree or map for its caller'
    """
    if source is not None:
        path = source_path(source)
        if module is None or _HEADER.search(path):
            for mechanism, files in _files():
                if files.match(path):
                    return mechanism.reason
            if _HEADER.search(path):
                return "is inlined from a header for its caller"
    if module is not None:
        return None
    # A source file that is known and not plumbing's own decides, generic names do not.
    found = _mechanisms(function) if source is None else []
    return found[0].reason if found else None


@functools.lru_cache(maxsize=1 << 14)
def why_serves(function: str) -> str | None:
    """As :func:`why_plumbing` for a bare name, but what runs others' code can be to blame.

    Console text names the place where the kernel noticed; a timer queue or a file table that is
    broken there has no better name.

    >>> why_serves("kfree"), why_serves("run_timer_softirq")
    ('allocates or frees memory for its caller', None)
    """
    return next((one.reason for one in _mechanisms(function) if not one.runs), None)


def file_serves(path: str) -> bool:
    """Whether a source file serves any caller, so that its caller's file is meant."""
    path = source_path(path)
    return _HEADER.search(path) is not None or any(files.match(path) for _, files in _files())
