"""Walks through the kernel's lists, trees and arrays, with an eye on every link."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from oopsight.evidence.held_pointers import ExhaustedError, HeldPointers, Label

_RB_NODE = struct.Struct("<QQ")


class Look(HeldPointers):
    """What a registry is searched with: walks give the entries, and keep links that dangle."""

    def chain(
        self,
        head: tuple[str, int, str],
        entry: tuple[str, str],
        label: Label,
        *,
        end: int = 0,
        embedded: bool = False,
    ) -> Iterator[int]:
        """Addresses of the entries of a list; a link to a gone module is kept and ends it.

        :param head: C type, address, and the member that points to the first entry
        :param entry: C type of the entries, and the member that points to the next
        :param end: the link that ends the list, where it is not 0
        :param embedded: whether links lead to the next link within its entry, not to the entry
        """
        entry_type, next_member = entry
        node = self.offset(entry_type, next_member) if embedded else 0
        place, seen = head, set()
        while True:
            link = self.at(*place, label, node=node)
            if not link or link == end or link & 1 or self.gone(link) or link in seen:
                return
            seen.add(link)
            yield link - node
            place = entry_type, link - node, next_member

    def entries(
        self, head: tuple[str, int, str], entry: tuple[str, str], label: Label
    ) -> Iterator[int]:
        """Entries of a ``struct list_head``.

        :param head: C type, address, and the member that is the list's head; ``""`` for a variable
            that is one itself
        :param entry: C type of the entries, and their ``struct list_head``
        """
        type_name, address, member = head
        end = address + (self.offset(type_name, member) if member else 0)
        first = f"{member}.next" if member else "next"
        yield from self.chain(
            (type_name, address, first),
            (entry[0], f"{entry[1]}.next"),
            label,
            end=end,
            embedded=True,
        )

    def hash_list(
        self, head: tuple[str, int, str], entry: tuple[str, str], label: Label
    ) -> Iterator[int]:
        """Entries of a ``struct hlist_head``; parameters as for :meth:`entries`."""
        type_name, address, member = head
        first = f"{member}.first" if member else "first"
        yield from self.chain(
            (type_name, address, first), (entry[0], f"{entry[1]}.next"), label, embedded=True
        )

    def tree(
        self, head: tuple[str, int, str], entry: tuple[str, str], label: Label
    ) -> Iterator[int]:
        """Entries of a ``struct rb_root``, in any order; parameters as for :meth:`nodes`."""
        start = self.offset(*entry) + 8
        return (node for node, _ in self.nodes(head, entry, label, (start, start + 16)))

    def nodes(
        self,
        head: tuple[str, int, str],
        entry: tuple[str, str],
        label: Label,
        span: tuple[int, int],
    ) -> Iterator[tuple[int, bytes]]:
        """Entries of a ``struct rb_root`` with a part of each, in any order.

        :param head: C type, address, and the member that points to the root
        :param entry: C type of the entries, and their ``struct rb_node``
        :param span: offsets of the part in an entry; it must hold the node's two links. Large trees
            are common: one read an entry
        """
        entry_type, member = entry
        node = self.offset(entry_type, member)
        first, end = span
        # struct rb_node: parent and colour, right, left.
        links = node + 8 - first
        read, unpack, low, high = self.prog.read, _RB_NODE.unpack_from, self._low, self._high
        size, first = end - first, first - node
        root = self.at(*head, label, node=node)
        waiting, seen = [root] if root else [], set()
        # Ten thousand times in sysfs alone: nothing here is called that need not be.
        while waiting:
            link = waiting.pop()
            if link in seen or (low <= link < high and self.gone(link)):
                continue
            seen.add(link)
            part = read(link + first, size)
            yield link - node, part
            self._left -= 1
            if self._left < 0:
                raise ExhaustedError
            right, left = unpack(part, links)
            if right:
                waiting.append(right)
                if low <= right < high:
                    self.at(entry_type, link - node, f"{member}.rb_right", label, node=node)
            if left:
                waiting.append(left)
                if low <= left < high:
                    self.at(entry_type, link - node, f"{member}.rb_left", label, node=node)

    def xarray(self, head: tuple[str, int, str], label: Label) -> Iterator[int]:
        """Entries of a ``struct xarray``, which IDRs are made of, too.

        :param head: C type, address, and the member that is the ``struct xarray``
        """
        node_type = "struct xa_node"
        shift, slots = self.offset(node_type, "shift"), self.offset(node_type, "slots")
        count = (self.type(node_type).size or 576) - slots >> 3
        type_name, address, member = head
        waiting = [(self.at(type_name, address, f"{member}.xa_head", label), 64)]
        while waiting:
            entry, above = waiting.pop()
            # Internal pointers carry a 2; small ones are not nodes but signs (lib/xarray.c).
            if entry & 3 != 2 or entry <= 4096:
                if entry and not entry & 1 and not self.gone(entry):
                    yield entry
                continue
            node = entry - 2
            level = self.prog.read(node + shift, 1)[0]
            if level >= above:
                continue  # a node that holds its own parent
            for slot, value in enumerate(self.words(node + slots, min(count, 64))):
                if value:
                    self.at(node_type, node, f"slots[{slot}]", label)
                    waiting.append((value, level))
