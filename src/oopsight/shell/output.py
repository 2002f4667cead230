"""What a command says: text and data at once, and what could not be read marked in its place."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

from oopsight.cheap import dataclass, field
from oopsight.evidence import Address
from oopsight.text import printable

Value = TypeVar("Value")
Row = dict[str, Any]

MOST_GAPS_KEPT = 1000


@dataclass(frozen=True)
class Gap:
    """Stands where a value could not be read; it shows itself as the reason."""

    what: str
    address: Address | None
    why: str

    def __str__(self) -> str:
        where = "" if self.address is None else f" {self.address:x}"
        return f"<unreadable{where}>"

    def __format__(self, spec: str) -> str:
        """Any numeric format shows the mark; the width is kept."""
        width = "".join(char for char in spec.partition(".")[0] if char.isdigit()).lstrip("0")
        return f"{self!s:{'<' if '<' in spec else ''}{width}}"

    @property
    def line(self) -> str:
        """The mark as a line of its own, with the reason."""
        return f"{self}: {self.what}: {self.why}"


left_out: ContextVar[str] = ContextVar("left_out", default="filtered out of the dump")
"""What is said of a page that the machine had and the dump has not."""


@functools.cache
def readable_errors() -> tuple[type[Exception], ...]:
    """What reading a damaged dump, or a kernel without the thing looked for, raises."""
    from drgn import FaultError, ObjectAbsentError

    return (FaultError, ObjectAbsentError, LookupError, AttributeError, ValueError, ArithmeticError)


def gap_from(error: Exception, what: str) -> Gap:
    """The reason why something could not be read."""
    from drgn import FaultError

    if isinstance(error, FaultError):
        return Gap(what, Address(error.address), _reason(str(error)))
    return Gap(what, None, printable(str(error).strip("'\"")) or type(error).__name__)


def _reason(message: str) -> str:
    """Why memory could not be read, in the fewest words; the address is kept apart."""
    if "xcluded" in message:
        return left_out.get()
    if "not present" in message or "not mapped" in message:
        return "nothing is mapped there"
    return printable(message.rpartition(": 0x")[0] or message)


def plain(value: Any) -> Any:
    """A row's value as JSON can hold it."""
    if isinstance(value, Gap):
        return {
            "unreadable": value.why,
            "address": None if value.address is None else str(value.address),
        }
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


@dataclass
class Out:
    """Takes a command's lines and rows; text goes to ``write`` at once."""

    write: Callable[[str], object]
    keep_rows: bool = True
    columns: int = 80
    rows: list[Row] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    gap_count: int = 0

    def line(self, text: str = "") -> None:
        """Say one line."""
        self.write(f"{text}\n")

    def lines(self, text: str) -> None:
        """Say some lines."""
        if text:
            self.write(text if text.endswith("\n") else f"{text}\n")

    def row(self, text: str | None, /, **data: Any) -> None:
        """Say one row of a table; ``None`` where the text was said already."""
        if text is not None:
            self.write(f"{text}\n")
        if self.keep_rows:
            self.rows.append(data)

    def count(self, gap: Gap) -> Gap:
        """Remember what could not be read; the last line counts it."""
        self.gap_count += 1
        if len(self.gaps) < MOST_GAPS_KEPT:
            self.gaps.append(gap)
        return gap

    def got(self, read: Callable[[], Value], what: str) -> Value | Gap:
        """The value that ``read`` gives, or the mark in its place."""
        try:
            return read()
        except readable_errors() as error:
            return self.count(gap_from(error, what))

    @contextlib.contextmanager
    def item(self, what: str, *, indent: str = "") -> Iterator[None]:
        """One item of many: what cannot be read in it is said in a line, and the next follows."""
        try:
            yield
        except readable_errors() as error:
            self.line(indent + self.count(gap_from(error, what)).line)

    def walk(self, items: Iterable[Value], what: str, most: int = 1_000_000) -> Iterator[Value]:
        """The items up to the first that cannot be reached, which is marked; bounded."""
        iterator = iter(items)
        for _ in range(most):
            try:
                item = next(iterator)
            except StopIteration:
                return
            except readable_errors() as error:
                gap = self.count(gap_from(error, what))
                self.line(f"{gap}: {what} cannot be followed further: {gap.why}")
                return
            yield item
        self.line(f"{what}: not followed beyond {most} items")

    def close(self) -> None:
        """Say how much could not be read, where anything could not."""
        if self.gap_count:
            addresses = sorted({gap.address for gap in self.gaps if gap.address is not None})
            pages = len({address >> 12 for address in addresses})
            where = f" in {pages} page{'s' if pages != 1 else ''}" if pages else ""
            things = "thing" if self.gap_count == 1 else "things"
            self.line(f"[{self.gap_count} {things} could not be read{where}]")

    def to_json(self) -> str:
        """Rows and gaps as one JSON object."""
        document = {
            "rows": [plain(row) for row in self.rows],
            "unreadable": [
                {
                    "what": g.what,
                    "why": g.why,
                    "address": None if g.address is None else str(g.address),
                }
                for g in self.gaps
            ],
        }
        return json.dumps(document, indent=1)


@dataclass(frozen=True)
class Result:
    """What a command gave, for use in Python."""

    command: str
    rows: tuple[Row, ...]
    text: str
    gaps: tuple[Gap, ...]
    error: str | None
    """Why the command could not be carried out; what it said before is kept."""
