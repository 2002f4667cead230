"""What a module's functions do with memory that they have a pointer to: free it, keep it, use it.

Not a fact by itself: collectors that look for who lost or freed something ask it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from oopsight.cheap import dataclass
from oopsight.evidence.hangs.stacks import StackReader
from oopsight.evidence.modules.known_calls import PUTS
from oopsight.evidence.modules.module_code import ModuleFunction
from oopsight.evidence.modules.module_roles import inner_functions
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import Expression, direct_target, result_of
from oopsight.kernel.pointer_fate import FREES, KEEPS, RETURNS, USES, Fate, fate
from oopsight.plumbing import base_name
from oopsight.session import Session

_MOST_SOURCES = 64
_MOST_REACHED = 200
_DEEPEST = 16
"""Functions through which a pointer is followed that each hands on to the next."""
_VARIANT = re.compile(r"(?:_noprof|_orig|_erms)$")
_FREES = re.compile(
    r"kv?free(?:_sensitive|_const|_call_rcu|_skb\w*)?|vfree|kvfree_call_rcu|kmem_cache_free"
    r"|call_rcu|free_pages(?:_exact)?|put_page|folio_put|mempool_free|free_percpu|consume_skb"
    r"|sk_skb_reason_drop|dev_kfree_skb\w*|napi_consume_skb|dma_free_attrs|seq_release_private"
)
# These have no pointer any more when they return.
_USES = re.compile(
    r"mem(?:cpy|set|move|cmp|chr|scan)\w*|str\w+|v?s[nc]*printf|sscanf|printk|dev_(?:err|warn|info)"
    r"|dynamic_\w+|(?:raw_)?copy_(?:from|to)_user\w*|check_object_size|kstrto\w+|hex2bin|bin2hex"
    r"|(?:raw_)?(?:spin|read|write)_(?:un)?lock\w*|mutex_(?:un)?lock\w*|mutex_init|rwlock_init"
    r"|raw_spin_lock_init|init_(?:waitqueue_head|rwsem|swait_queue_head|work)|(?:timer_)?init_timer"
    r"(?:_key)?|timer_init_key|lockdep_\w+|get_random_bytes|page_address|crc32\w*|strim|sort|refcount"
    r"_warn_saturate|sized_strscpy|fortify_panic|stack_chk_fail"
)
_RETURNS = re.compile(r"__x86_return_thunk|\w*_return_thunk")
_KEPT_BY_KERNEL = ("seq_open_private", "devm_kmalloc")
"""Functions that allocate and themselves keep what they return."""


def plain(name: str) -> str:
    """A function's name without what tells its variants."""
    return _VARIANT.sub("", base_name(name)).lstrip("_")


def frees(function: ModuleFunction, what: tuple[str, ...] = ()) -> bool:
    """Whether it calls a function of the kernel that gives memory back.

    :param what: these alone, by their plain names
    """
    names = [plain(name) for name in function.outside]
    return any(one in what if what else gives_memory_back(one) for one in names)


def gives_memory_back(name: str) -> bool:
    """Whether a function of the kernel does so, by its plain name."""
    return _FREES.fullmatch(name) is not None


@dataclass(frozen=True)
class Source:
    """A call by which a function gets memory that it, or a function it calls, has allocated."""

    function: ModuleFunction
    site: int
    fate: Fate


class Ownership:
    """Asks about the functions of one module that run while it is in use.

    :param ends: further functions of the kernel that are done with what they are given, by their
        plain names
    :param counted: to give a reference back is as good as to free
    """

    def __init__(
        self,
        session: Session,
        modules: Modules,
        module: Module,
        ends: frozenset[str] = frozenset(),
        *,
        counted: bool = False,
    ) -> None:
        self._counted = counted
        self._ends = ends
        self._reader = StackReader(session, modules)
        self.functions = inner_functions(session, module)
        self.by_start = {one.start: one for one in self.functions}
        self._handed: dict[tuple[int, str], str] = {}
        self._depth = 0

    def code(self, one: ModuleFunction) -> Function | None:
        """Its code, followed."""
        return self._reader.function(one.start)

    def is_aside(self, target: int) -> bool:
        """Whether an address lies in a part of a function that lies elsewhere."""
        return ".cold" in self._reader.names.code(target)[0]

    def called(self, target: int | None) -> str:
        """The plain name of the function that begins at an address."""
        name = self._reader.names.function_at(target) if target is not None else None
        return plain(name or "")

    def frees(self, target: int | None) -> bool:
        """Whether a function of the kernel gives memory back."""
        return _FREES.fullmatch(self.called(target)) is not None

    def does(self, target: int | None, register: str) -> str:
        """What a function does with the pointer in a register."""
        name = self._reader.names.function_at(target) if target is not None else None
        if target is None or name is None:
            return KEEPS
        if _RETURNS.fullmatch(name):
            return RETURNS
        if _FREES.fullmatch(plain(name)) or plain(name) in self._ends:
            return FREES
        if self._counted and PUTS.fullmatch(plain(name)):
            return FREES
        if _USES.fullmatch(plain(name)):
            return USES
        if target in self.by_start and register not in ("", "rsp"):
            return self._of_argument(target, register)
        return KEEPS

    def _of_argument(self, start: int, register: str) -> str:
        key = (start, register)
        if key not in self._handed:
            if self._depth >= _DEEPEST:
                return KEEPS
            self._handed[key] = KEEPS  # as long as it is not known, for those that call themselves
            self._depth += 1
            found = self.handed(self.by_start[start], register)
            self._depth -= 1
            if found is not None and not found.kept and not found.returned:
                some = KEEPS if found.lost else FREES
                self._handed[key] = some if found.freed else USES
        return self._handed[key]

    def handed(self, one: ModuleFunction, register: str = "rdi") -> Fate | None:
        """What becomes of what a function is handed."""
        code = self.code(one)
        if code is None or not code.followed:
            return None
        return fate(code, one.start, Expression(register, 0), self.does, counted=self._counted)

    def sources(self, sites: Iterable[int]) -> list[Source]:
        """Follow what was allocated, through functions that return it, to those that keep it.

        :param sites: addresses of calls that allocate
        """
        found: list[Source] = []
        waiting, seen = list(sites), set()
        while waiting and len(found) < _MOST_SOURCES:
            site = waiting.pop(0)
            one = self.holding(site)
            code = self.code(one) if one is not None else None
            if one is None or code is None or site in seen or site not in code.code:
                continue
            seen.add(site)
            instruction = code.code[site]
            if instruction.mnemonic == "jmp":
                known: Fate | None = Fate((), False, False, True, frozenset())
            elif self.called(direct_target(instruction)) in _KEPT_BY_KERNEL:
                known = Fate((), False, True, False, frozenset())
            else:
                known = fate(code, instruction.end, result_of(site), self.does)
            if known is None:
                continue
            found.append(Source(one, site, known))
            # What is kept and left in the register of results was not given to the caller.
            if known.returned and not known.kept:
                waiting += self.calls_of(one)
        return found

    def holding(self, address: int) -> ModuleFunction | None:
        """The function that an address lies in."""
        _, start, _ = self._reader.names.code(address)
        return self.by_start.get(start) if start is not None else None

    def calls_of(self, called: ModuleFunction) -> Iterator[int]:
        """Addresses of the calls of a function from others of the module."""
        for one in self.functions:
            code = self.code(one) if called.name in one.calls else None
            for address, instruction in code.code.items() if code is not None else ():
                if (
                    instruction.mnemonic in ("call", "jmp")
                    and direct_target(instruction) == called.start
                ):
                    yield address

    def reach(self, one: ModuleFunction) -> list[ModuleFunction]:
        """A function, and those of the module that it calls or has the address of, and so on."""
        found: dict[int, ModuleFunction] = {}
        waiting = [one]
        while waiting and len(found) < _MOST_REACHED:
            now = waiting.pop()
            if now.start in found:
                continue
            found[now.start] = now
            waiting += [f for f in self.functions if f.name in now.calls or f.start in now.refers]
        return list(found.values())
