"""Reading and editing the two kinds of configuration files, without ever executing them.

* shell assignments, ``NAME="value"``: ``/etc/default/*``, ``/etc/sysconfig/*``
* directives, ``name value``: ``/etc/kdump.conf``

Editing touches the one line that sets the name and leaves every other byte as it was.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable


def shell_values(text: str) -> dict[str, str]:
    r"""Return the assignments of a shell-style file, the last of a name winning.

    >>> shell_values('A=1 # one\nexport B="x $A"\n#C=3')
    {'A': '1', 'B': 'x $A'}
    """
    values = {}
    for name, raw in re.findall(
        r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)=(.*)$", text, re.MULTILINE
    ):
        try:
            words = shlex.split(raw, comments=True)
        except ValueError:
            continue
        values[name] = words[0] if words else ""
    return values


def evaluate(texts: Iterable[str]) -> dict[str, str]:
    r"""Return the variables after several files were sourced in order, ``$NAME`` filled in.

    >>> evaluate(['A="x"\n', 'A="$A y"\n', 'A+=" z"\n'])
    {'A': 'x y z'}
    """
    values: dict[str, str] = {}
    for text in texts:
        for name, plus, raw in re.findall(
            r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)(\+?)=(.*)$", text, re.MULTILINE
        ):
            try:
                words = shlex.split(raw, comments=True)
            except ValueError:
                continue
            value = words[0] if words else ""
            # A name without a value is empty, as for the shell.
            filled = re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda m: values.get(m[1] or m[2], ""), value)
            values[name] = values.get(name, "") + filled if plus else filled
    return values


def set_shell_value(text: str, name: str, value: str) -> str:
    r"""Set a name in a shell-style file: on the last line that sets it, or on a new one.

    >>> set_shell_value('A=1\n', 'A', 'x y')
    'A="x y"\n'
    >>> set_shell_value('#A=1\n', 'A', '2')
    '#A=1\nA="2"\n'
    """
    escaped = re.sub(r'(["`\\])', r"\\\1", value)
    return _set_line(text, rf"[ \t]*(?:export[ \t]+)?{re.escape(name)}=", f'{name}="{escaped}"')


def directives(text: str) -> dict[str, str]:
    r"""Return the ``name value`` lines of a file, the last of a name winning.

    >>> directives('# no\npath /var/crash\n')
    {'path': '/var/crash'}
    """
    found = {}
    for line in text.splitlines():
        name, _, value = line.split("#", 1)[0].strip().partition(" ")
        if name:
            found[name] = value.strip()
    return found


def set_directive(text: str, name: str, value: str) -> str:
    r"""Set a directive: on the last line that sets it, or on a new one.

    >>> set_directive('path /a\n', 'path', '/b')
    'path /b\n'
    """
    return _set_line(text, rf"{re.escape(name)}[ \t]", f"{name} {value}")


def drop_directive(text: str, name: str) -> str:
    r"""Comment out every line that sets the directive.

    >>> drop_directive('nfs a:/b\n', 'nfs')
    '#nfs a:/b\n'
    """
    return re.sub(rf"^(?={re.escape(name)}[ \t])", "#", text, flags=re.MULTILINE)


def _set_line(text: str, start: str, line: str) -> str:
    places = list(re.finditer(rf"^{start}.*$", text, re.MULTILINE))
    if places:
        last = places[-1]
        return text[: last.start()] + line + text[last.end() :]
    separator = "" if not text or text.endswith("\n") else "\n"
    return f"{text}{separator}{line}\n"
