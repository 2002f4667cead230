"""What setup changed, with the old bytes, so that undo can bring them back.

A change is entered, and its backup on the disk, before it is made. The first backup of a path is
the one that counts: a second run of setup must not take its own work for the original.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from oopsight.kdump.errors import KdumpError
from oopsight.kdump.host import Root

FOLDER = "/var/lib/oopsight/kdump"
JOURNAL = f"{FOLDER}/journal.json"


@dataclass(frozen=True)
class Entry:
    """A changed file: its backup (``None``: it did not exist) and the hashes that setup gave it."""

    path: str
    backup: str | None
    written: tuple[str, ...]


def digest(content: bytes) -> str:
    """Return the SHA-256 of the content in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def load(root: Root) -> list[Entry]:
    """Read the journal; empty if there is none.

    :raises KdumpError: it is damaged
    """
    text = root.read(JOURNAL)
    if text is None:
        return []
    try:
        return [
            Entry(row["path"], row["backup"], tuple(row["written"])) for row in json.loads(text)
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise KdumpError(f"the journal {JOURNAL} is damaged; the backups are beside it") from error


def save(root: Root, entries: list[Entry]) -> None:
    """Replace the journal."""
    text = json.dumps([asdict(entry) for entry in entries], indent=1)
    root.write(JOURNAL, text.encode(), mode=0o600)


def enter(root: Root, path: str, written: bytes | None) -> None:
    """Enter a change before it is made; ``written`` is ``None`` if a program will make it."""
    entries = load(root)
    marks = () if written is None else (digest(written),)
    for number, entry in enumerate(entries):
        if entry.path == path:
            entries[number] = Entry(path, entry.backup, tuple({*entry.written, *marks}))
            break
    else:
        old = root.read_bytes(path)
        backup = None
        if old is not None:
            backup = f"{FOLDER}/backup/{digest(path.encode())[:16]}"
            root.write(backup, old, mode=0o600)
        entries.append(Entry(path, backup, marks))
    save(root, entries)
