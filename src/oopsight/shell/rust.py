"""Names of Rust symbols: the v0 scheme (RFC 2603) and the older one."""

from __future__ import annotations

import re

_BASIC = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8",
    "i": "isize", "j": "usize", "l": "i32", "m": "u32", "n": "i128", "o": "u128", "p": "_",
    "s": "i16", "t": "u16", "u": "()", "v": "...", "x": "i64", "y": "u64", "z": "!",
}  # fmt: skip
_ESCAPES = {"LT": "<", "GT": ">", "RF": "&", "BP": "*", "LP": "(", "RP": ")", "C": ",", "SP": "@"}
MOST_DEPTH = 100
MOST_LENGTH = 4096


def demangle(symbol: str) -> str | None:
    """The name that a Rust programmer knows; ``None`` for what is no Rust symbol.

    >>> demangle("_RNvC7mycrate3foo")
    'mycrate::foo'
    >>> demangle("_RNvMs_C4mycrNtC4mycr3Bar3new")
    '<mycr::Bar>::new'
    >>> demangle("_ZN4core3fmt5write17h0123456789abcdefE")
    'core::fmt::write'
    >>> demangle("panic") is None
    True
    """
    if len(symbol) > MOST_LENGTH:
        return None
    base = symbol.partition(".llvm.")[0]
    if base.startswith("_R"):
        try:
            return _V0(base[2:]).symbol()
        except (IndexError, ValueError, RecursionError):
            return None
    return _legacy(base)


def _legacy(symbol: str) -> str | None:
    match = re.match(r"_?_?ZN", symbol)
    if match is None:
        return None
    at = match.end()
    parts = []
    while at < len(symbol) and symbol[at].isdigit():
        number = re.match(r"\d+", symbol[at:])
        if number is None:
            return None
        at += number.end()
        size = int(number.group())
        parts.append(symbol[at : at + size])
        at += size
    if symbol[at : at + 1] != "E" or not parts or not re.fullmatch(r"h[0-9a-f]{16}", parts[-1]):
        return None
    return "::".join(_unescape(part) for part in parts[:-1])


def _unescape(part: str) -> str:
    if part.startswith("_$"):
        part = part[1:]
    part = re.sub(
        r"\$(\w+?)\$",
        lambda m: (
            _ESCAPES.get(m.group(1))
            or (
                chr(int(m.group(1)[1:], 16))
                if re.fullmatch(r"u[0-9a-f]{1,5}", m.group(1))
                else m[0]
            )
        ),
        part,
    )
    return part.replace("..", "::")


class _V0:
    """One symbol of the v0 scheme; raises where it is malformed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def symbol(self) -> str:
        if self.text[:1].isdigit():
            raise ValueError("a later version of the scheme")
        return self.path()

    def next(self) -> str:
        char = self.text[self.at]
        self.at += 1
        return char

    def eat(self, char: str) -> bool:
        if self.text[self.at : self.at + 1] == char:
            self.at += 1
            return True
        return False

    def base62(self) -> int:
        if self.eat("_"):
            return 0
        value = 0
        while not self.eat("_"):
            char = self.next()
            digit = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".index(char)
            value = value * 62 + digit
        return value + 1

    def disambiguator(self) -> int:
        return self.base62() + 1 if self.eat("s") else 0

    def identifier(self) -> str:
        self.disambiguator()
        coded = self.eat("u")
        digits = re.match(r"0|[1-9]\d*", self.text[self.at :])
        if digits is None:
            raise ValueError("no length")
        self.at += digits.end()
        size = int(digits.group())
        self.eat("_")
        name = self.text[self.at : self.at + size]
        if len(name) < size:
            raise ValueError("cut off")
        self.at += size
        if coded:
            head, _, tail = name.rpartition("_")
            return (f"{head}-{tail}" if head else tail).encode().decode("punycode")
        return name

    def path(self) -> str:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ValueError("nested too deeply")
        try:
            return self._path()
        finally:
            self.depth -= 1

    def _path(self) -> str:
        kind = self.next()
        if kind == "C":
            return self.identifier()
        if kind == "N":
            space = self.next()
            parent = self.path()
            number = 0
            save = self.at
            number = self.disambiguator()
            self.at = save
            name = self.identifier()
            if space.isupper():
                what = {"C": "closure", "S": "shim"}.get(space, space)
                return f"{parent}::{{{what}{':' + name if name else ''}#{number}}}"
            return f"{parent}::{name}" if name else parent
        if kind in "MX":
            self.disambiguator()
            self.path()
            target = self.type()
            return f"<{target}>" if kind == "M" else f"<{target} as {self.path()}>"
        if kind == "Y":
            target = self.type()
            return f"<{target} as {self.path()}>"
        if kind == "I":
            parent = self.path()
            arguments = []
            while not self.eat("E"):
                arguments.append(self.argument())
            return f"{parent}::<{', '.join(arguments)}>"
        if kind == "B":
            return self.back(self.path)
        raise ValueError(f"unknown path {kind}")

    def back(self, read: object) -> str:
        target = self.base62()
        if target >= self.at or not callable(read):
            raise ValueError("leads forward")
        save, self.at = self.at, target
        try:
            return str(read())
        finally:
            self.at = save

    def argument(self) -> str:
        if self.eat("L"):
            number = self.base62()
            return f"'{number}" if number else "'_"
        if self.eat("K"):
            return self.constant()
        return self.type()

    def constant(self) -> str:
        if self.eat("p"):
            return "_"
        if self.eat("B"):
            return self.back(self.constant)
        kind = self.next()
        negative = self.eat("n")
        end = self.text.index("_", self.at)
        digits = self.text[self.at : end]
        self.at = end + 1
        value = int(digits or "0", 16)
        if kind == "b":
            return "true" if value else "false"
        if kind == "c":
            return repr(chr(value))
        return f"{'-' if negative else ''}{value}"

    def type(self) -> str:
        self.depth += 1
        if self.depth > MOST_DEPTH:
            raise ValueError("nested too deeply")
        try:
            return self._type()
        finally:
            self.depth -= 1

    def _type(self) -> str:
        kind = self.text[self.at]
        if kind in _BASIC:
            self.at += 1
            return _BASIC[kind]
        if kind in "CNMXYI":
            return self.path()
        self.at += 1
        if kind == "A":
            return f"[{self.type()}; {self.constant()}]"
        if kind == "S":
            return f"[{self.type()}]"
        if kind == "T":
            parts = []
            while not self.eat("E"):
                parts.append(self.type())
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if kind in "RQ":
            if self.eat("L"):
                self.base62()
            return f"&{'mut ' if kind == 'Q' else ''}{self.type()}"
        if kind in "PO":
            return f"*{'const' if kind == 'P' else 'mut'} {self.type()}"
        if kind == "F":
            return self._function()
        if kind == "D":
            return self._dynamic()
        if kind == "B":
            return self.back(self.type)
        raise ValueError(f"unknown type {kind}")

    def _binder(self) -> None:
        if self.eat("G"):
            self.base62()

    def _function(self) -> str:
        self._binder()
        unsafe = "unsafe " if self.eat("U") else ""
        abi = ""
        if self.eat("K"):
            abi = 'extern "C" ' if self.eat("C") else f'extern "{self.identifier()}" '
        arguments = []
        while not self.eat("E"):
            arguments.append(self.type())
        result = self.type()
        tail = "" if result == "()" else f" -> {result}"
        return f"{unsafe}{abi}fn({', '.join(arguments)}){tail}"

    def _dynamic(self) -> str:
        self._binder()
        traits = []
        while not self.eat("E"):
            name = self.path()
            while self.eat("p"):
                name += f"<{self.identifier()} = {self.type()}>"
            traits.append(name)
        if self.eat("L"):
            self.base62()
        return f"dyn {' + '.join(traits)}"
