"""Options and arguments of a command, as its file declares them."""

from __future__ import annotations

from oopsight.cheap import dataclass, field
from oopsight.errors import UsageError

JSON = "--json"
DRGN = "--drgn"
WHY = "--why"
EVERYWHERE = {
    JSON: "rows as JSON",
    DRGN: "the drgn code that gives the same",
    WHY: "the answer, and the drgn code that gives the same",
}
"""Options of every command."""


@dataclass(frozen=True)
class Option:
    """One option: ``-c CPUS``, ``-S[=CPUS]`` (a value that may be left out), ``-8``."""

    flag: str
    metavar: str | None
    optional: bool
    text: str

    @property
    def shown(self) -> str:
        """As in the synopsis."""
        if not self.metavar:
            return self.flag
        return f"{self.flag}[={self.metavar}]" if self.optional else f"{self.flag} {self.metavar}"


def options_of(declared: dict[str, str]) -> dict[str, Option]:
    """Options by flag, from ``{"-c CPUS": "what it does"}``.

    >>> options_of({"-c CPUS": "x", "-S[=CPUS]": "y"})["-S"].optional
    True
    """
    found = {}
    for key, text in declared.items():
        if "[=" in key:
            flag, _, metavar = key.rstrip("]").partition("[=")
            found[flag] = Option(flag, metavar, True, text)
        else:
            flag, _, metavar = key.partition(" ")
            found[flag] = Option(flag, metavar or None, False, text)
    return found


@dataclass
class Args:
    """The parsed arguments of one call."""

    rest: list[str]
    """Words that are no options, in order."""
    raw: str = ""
    """All behind the command's name, unparsed, for commands that take an expression."""
    given: list[tuple[str, str | None]] = field(default_factory=list)
    """Options in the order given, with their values."""

    def has(self, *flags: str) -> bool:
        """Whether one of the flags was given."""
        return bool(self.given) and any(flag in flags for flag, _ in self.given)

    def count(self, flag: str) -> int:
        """How often the flag was given."""
        return sum(flag == name for name, _ in self.given)

    def value(self, flag: str) -> str | None:
        """The value of an option, the last where it was given more than once."""
        return next((value for name, value in reversed(self.given) if name == flag), None)

    def values(self, flag: str) -> list[str]:
        """All values of an option, comma-separated lists taken apart."""
        found = [value for name, value in self.given if name == flag and value]
        return [part for value in found for part in value.split(",") if part]


def parse(words: list[str], options: dict[str, Option], *, stop_early: bool = False) -> Args:
    """Parse words by declared options; flags may be joined (``-lx``) and stand anywhere.

    :param stop_early: the first word that is no option ends them
    :raises UsageError: for an option that is not declared, or lacks its value

    >>> found = parse(["-lx", "foo", "-c", "1"], options_of({"-l": "", "-x": "", "-c CPU": ""}))
    >>> found.has("-x"), found.value("-c"), found.rest
    (True, '1', ['foo'])
    """
    args = Args([])
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if len(word) < 2 or not word.startswith("-"):
            args.rest.append(word)
            if stop_early:
                args.rest += words[at:]
                break
            continue
        if word == "--":
            args.rest += words[at:]
            break
        at = _flags(word, words, at, options, args)
    return args


def _flags(word: str, words: list[str], at: int, options: dict[str, Option], args: Args) -> int:
    """Take one word of flags; returns where the words go on."""
    name, equals, attached = word.partition("=")
    if name in options:
        option = options[name]
        if not option.metavar:
            if equals:
                raise UsageError(f"option {name} takes no value")
            args.given.append((name, None))
        elif equals or option.optional:
            args.given.append((name, attached or None))
        else:
            if at >= len(words):
                raise UsageError(f"option {name} needs {option.metavar}")
            args.given.append((name, words[at]))
            at += 1
        return at
    position = 1
    while position < len(word):
        # A flag of more than one character (-16) is taken whole, wherever it stands.
        flag = next(
            (
                f"-{word[position : position + size]}"
                for size in (2, 1)
                if f"-{word[position : position + size]}" in options
            ),
            None,
        )
        if flag is None or word.startswith("--"):
            raise UsageError(f"unknown option {word if word.startswith('--') else word[position]}")
        position += len(flag) - 1
        option = options[flag]
        if not option.metavar:
            args.given.append((flag, None))
            continue
        tail = word[position:]
        if tail.startswith("="):
            args.given.append((flag, tail[1:]))
        elif tail and not option.optional:
            args.given.append((flag, tail))
        elif option.optional:
            args.given.append((flag, None))
            continue
        else:
            if at >= len(words):
                raise UsageError(f"option {flag} needs {option.metavar}")
            args.given.append((flag, words[at]))
            at += 1
        break
    return at
