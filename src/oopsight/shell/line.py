"""The command line of the prompt: words, quotes, pipes, redirections, input files.

What runs a shell or writes a file stands in the line that the *user* typed, never in the dump.
"""

from __future__ import annotations

from oopsight.cheap import dataclass
from oopsight.errors import UsageError

_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True)
class Line:
    """One command line, taken apart."""

    words: tuple[str, ...]
    """The command's name and its arguments, quotes removed."""
    raw: str
    """All behind the name, without redirection, as typed."""
    pipe: str | None = None
    """A shell command that gets the output."""
    output: str | None = None
    append: bool = False
    input: str | None = None
    """A file of commands, ``< FILE``."""
    shell: str | None = None
    """A shell command to run instead, ``! COMMAND``."""


def _split_operators(text: str) -> tuple[str, list[tuple[str, str]]]:
    """The command itself, and each redirection or pipe with what follows it."""
    quote = ""
    depth = 0
    at = 0
    cut = len(text)
    operators: list[tuple[str, str]] = []
    starts: list[tuple[int, str]] = []
    while at < len(text):
        char = text[at]
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth = max(0, depth - 1)
        elif depth == 0 and char == "|":
            starts.append((at, "|"))
            break
        elif depth == 0 and char in "<>" and not (char == ">" and at and text[at - 1] == "-"):
            operator = ">>" if text.startswith(">>", at) else char
            starts.append((at, operator))
            at += len(operator) - 1
        at += 1
    if starts:
        cut = starts[0][0]
    for index, (start, operator) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(text)
        operators.append((operator, text[start + len(operator) : end].strip()))
    return text[:cut].strip(), operators


def words_of(text: str) -> list[str]:
    r"""Words, separated by spaces outside quotes and parentheses.

    Single quotes around a whole word are kept: they make a pattern of it, as in ``ps 'sshd?'``.

    >>> words_of('p (a + 1) "x y" \'sshd?\'')
    ['p', '(a + 1)', 'x y', "'sshd?'"]
    """
    words: list[str] = []
    current = ""
    started = False
    quote = ""
    depth = 0
    for char in text:
        if quote:
            if char == quote:
                quote = ""
                if char == '"':
                    continue
            current += char
        elif char == '"':
            quote, started = char, True
        elif char == "'":
            quote, started = char, True
            current += char
        elif char.isspace() and depth == 0:
            if current or started:
                words.append(current)
            current, started = "", False
        else:
            depth += (char == "(") - (char == ")" and depth > 0)
            current += char
    if quote:
        raise UsageError(f"unbalanced {quote} in the command line")
    if current or started:
        words.append(current)
    return words


def parse_line(text: str) -> Line | None:
    """Take one line apart; ``None`` where it is empty or a comment.

    >>> line = parse_line("ps -m | grep ss")
    >>> line.words, line.pipe
    (('ps', '-m'), 'grep ss')
    >>> parse_line("p task->comm > out").output
    'out'

    :raises UsageError: where it cannot be understood
    """
    text = text.strip()
    if not text or text.startswith("#"):
        return None
    if text.startswith("!"):
        return Line((), "", shell=text[1:].strip())
    if text.startswith("<"):
        return Line((), "", input=_file(text[1:], "<"))
    command, operators = _split_operators(text)
    pipe = output = source = None
    append = False
    for operator, rest in operators:
        if operator == "|":
            if not rest:
                raise UsageError("nothing after |")
            pipe = rest
        elif operator == "<":
            source = _file(rest, operator)
        else:
            output, append = _file(rest, operator), operator == ">>"
    words = words_of(command)
    if not words:
        raise UsageError(f"no command in {text!r}")
    first = words[0]
    raw = command[len(first) :].strip() if command.startswith(first) else " ".join(words[1:])
    if first.startswith("*") and first != "*":
        # `*task_struct ADDRESS`: the star is a command.
        words[:1] = ["*", first[1:]]
        raw = command[1:].strip()
    return Line(tuple(words), raw, pipe, output, append, source)


def _file(text: str, operator: str) -> str:
    words = words_of(text)
    if len(words) != 1:
        raise UsageError(f"one file name is needed after {operator}")
    return words[0].strip("'")


def split_commands(text: str) -> list[str]:
    """Commands separated by ``;`` outside quotes and parentheses.

    >>> split_commands("sys; p (1;2); bt")
    ['sys', 'p (1;2)', 'bt']
    """
    found: list[str] = []
    current = ""
    quote = ""
    depth = 0
    for char in text:
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "(":
            depth += 1
        elif char == ")":
            depth = max(0, depth - 1)
        elif char in ";\n" and depth == 0:
            found.append(current.strip())
            current = ""
            continue
        current += char
    return [command for command in [*found, current.strip()] if command]
