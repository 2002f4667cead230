"""Finding the structure by which a sleeping task is linked to what it waits for.

Whoever waits puts a small structure on its own stack, with a pointer to its task, and links it into
the list of the lock or queue. That structure is found by its task pointer, and proved by the list:
its neighbours point back to it. The list's head, the only member that is not on the stack of the
task that it names, is inside the lock. Nothing depends on the compiler or on debug information.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from oopsight.cheap import dataclass
from oopsight.evidence.hangs.stacks import StackReader, TaskStack
from oopsight.evidence.memory.slab_caches import memory_of
from oopsight.evidence.pointers import Memory

_MOST_WAITERS = 20_000
_KERNEL = 1 << 63


class Waiter(NamedTuple):
    """A structure on the waiting task's stack, linked into a list."""

    address: int
    node: int
    """Of its ``struct list_head``."""


class Shape(NamedTuple):
    """Where a waiting structure keeps its task and its list entry."""

    type_name: str
    task: int
    node: int


@dataclass
class Scan:
    """A sleeping task's stack, searched."""

    prog: Any
    reader: StackReader
    stack: TaskStack
    stack_range: tuple[int, int]
    """From the innermost frame to the top."""
    heads: dict[int, int]
    """List heads by node, shared by all tasks: a list is walked once."""

    @property
    def task(self) -> int:
        """Address of the task."""
        return self.stack.task.address

    def shape(self, type_name: str, task: str, node: str) -> Shape | None:
        """Offsets of a structure's members; ``None`` where this kernel lacks them."""
        from drgn import offsetof

        try:
            kind = self.prog.type(type_name)
            return Shape(type_name, offsetof(kind, task), offsetof(kind, node))
        except LookupError:
            return None

    def offset(self, type_name: str, member: str) -> int | None:
        """Offset of a member; ``None`` where this kernel lacks it."""
        from drgn import offsetof

        try:
            return int(offsetof(self.prog.type(type_name), member))
        except LookupError:
            return None

    def size(self, type_name: str) -> int:
        """Bytes of a type; 0 where this kernel lacks it."""
        from drgn import sizeof

        try:
            return int(sizeof(self.prog.type(type_name)))
        except LookupError:
            return 0

    def words(self) -> Iterator[tuple[int, int]]:
        """The stack's words, innermost first: address and value."""
        from drgn import FaultError

        start, end = self.stack_range
        try:
            data = self.prog.read(start, end - start)
        except FaultError:
            return
        for index, (value,) in enumerate(struct.iter_unpack("<Q", data)):
            yield start + 8 * index, value

    def locks(
        self, waiter: str, lock: str, *, node: str = "list", queue: str = "wait_list"
    ) -> Iterator[tuple[int, Waiter]]:
        """Locks on whose list a structure of the task's stack is, with that structure.

        Since Linux 7.0 locks have no list head but point to their first waiter: there the lock is
        the object, among those that the stack's code and words lead to, which does so.

        :param waiter: type of the structure
        :param lock: type of the lock
        :param queue: its member that is the list's head
        """
        shape = self.shape(waiter, "task", node)
        if shape is None:
            return
        head_at, first_at = self.offset(lock, queue), self.offset(lock, "first_waiter")
        for found in self.waiters(shape, alone=head_at is None):
            if head_at is not None:
                head = self.head(shape, found.node)
                if head is not None:
                    yield head - head_at, found
            elif first_at is not None:
                address = self._pointing(shape, found, first_at)
                if address is not None:
                    yield address, found

    def _pointing(self, shape: Shape, waiter: Waiter, first_at: int) -> int | None:
        """The lock whose pointer to its first waiter leads into the same ring."""
        from drgn import FaultError

        if waiter.node in self.heads:
            return self.heads[waiter.node]
        ring = self.ring(waiter.node)
        firsts = {node - shape.node for node in ring}
        for candidate in self.pointers():
            try:
                if self.prog.read_u64(candidate + first_at) in firsts:
                    self.heads.update(dict.fromkeys(ring, candidate))
                    return candidate
            except (FaultError, OverflowError):
                continue
        return None

    def pointers(self) -> Iterator[int]:
        """What can be a lock: those that the stack's code takes or has, then all words."""
        for call in self.stack.calls:
            for held in (call.wants, *call.holds) if call.wants else call.holds:
                if held.address is not None:
                    yield int(held.address)
        for _, word in self.words():
            if word >= _KERNEL and word % 8 == 0:
                yield word

    def ring(self, node: int) -> list[int]:
        """The members of a list from one of them on, its head among them; bounded."""
        ring = [node]
        current = self._pair(node)[0]
        while current not in (node, 0) and len(ring) < _MOST_WAITERS:
            ring.append(current)
            current = self._pair(current)[0]
        return ring

    def waiters(self, shape: Shape, *, alone: bool = False) -> Iterator[Waiter]:
        """Structures of this shape that name the task and hang on a list.

        :param alone: the list may hold no other entry
        """
        for address, value in self.words():
            if value != self.task:
                continue
            base = address - shape.task
            node = base + shape.node
            if self._linked(node, alone=alone):
                yield Waiter(base, node)

    def _linked(self, node: int, *, alone: bool) -> bool:
        following, before = self._pair(node)
        if following < _KERNEL or before < _KERNEL or (following == node and not alone):
            return False
        return self._pair(following)[1] == node and self._pair(before)[0] == node

    def _pair(self, address: int) -> tuple[int, int]:
        from drgn import FaultError

        try:
            pair: tuple[int, int] = struct.unpack("<QQ", self.prog.read(address, 16))
        except FaultError:
            return 0, 0
        return pair

    def head(self, shape: Shape, node: int) -> int | None:
        """The list's head: the member that is not in a structure on its own task's stack."""
        if node in self.heads:
            return self.heads[node]
        walked = [node]
        current = self._pair(node)[0]
        while current not in (node, 0) and len(walked) < _MOST_WAITERS:
            if not self._is_waiter(shape, current):
                for member in walked:
                    self.heads[member] = current
                return current
            walked.append(current)
            current = self._pair(current)[0]
        return None

    def _is_waiter(self, shape: Shape, node: int) -> bool:
        """Whether the node lies on the stack of the task that its structure names."""
        from drgn import FaultError, Object

        try:
            task = self.prog.read_u64(node - shape.node + shape.task)
            if task < _KERNEL or task % 8:
                return False
            bottom = Object(self.prog, "struct task_struct *", task).stack.value_()
        except FaultError:
            return False
        # What follows a lock may be any pointer. Stacks are aligned to their size (THREAD_ALIGN);
        # what else may stand there, a pointer to code for one, hardly ever is.
        size: int = stack_size(self.prog)
        return bool(bottom <= node < bottom + size and bottom % size == 0)

    def object(self, type_name: str, address: int) -> Any:
        """A pointer to an object of a type."""
        from drgn import Object

        return Object(self.prog, f"{type_name} *", address)

    def memory(self, type_name: str, address: int, member: str) -> Memory | None:
        """A member, for the proof; ``None`` where it cannot be read."""
        from drgn import FaultError, Object

        try:
            return memory_of(Object(self.prog, f"{type_name} *", address), member)
        except (FaultError, AttributeError, LookupError):
            return None

    def name(self, address: int) -> str | None:
        """What lies at an address."""
        return self.reader.names.data(address)


def stack_size(prog: Any) -> int:
    """Bytes of a task's kernel stack.

    The object-like macro is known to drgn; ``union thread_union`` holds it for certain.
    """
    from drgn import sizeof

    try:
        return int(sizeof(prog.type("union thread_union")))
    except LookupError:
        return 16384  # x86-64's THREAD_SIZE without KASAN


def value(memory: Memory) -> int:
    """The number that the bytes are."""
    return int.from_bytes(bytes.fromhex(memory.bytes), "little")


def held_by_readers(count: int) -> str:
    """How many readers hold a lock, in words."""
    return f"held by {count} reader{'s' * (count != 1)}"
