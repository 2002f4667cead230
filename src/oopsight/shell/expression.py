"""C expressions at the prompt: ``p init_task.comm``, ``((struct page *)ADDR)->flags + 1``.

What gdb is used for on a dump: symbols, members, casts, arithmetic, ``@`` for arrays. Nothing is
assigned and nothing is called.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from oopsight.cheap import dataclass
from oopsight.shell.types import find_type

if TYPE_CHECKING:
    from drgn import Object, Program, Type

_TOKEN = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9a-fA-F]+|\d+)[uUlL]*(?![\w])"
    r"|(?P<hex>[0-9a-fA-F]{6,16})(?!\w)"
    r"|(?P<name>[A-Za-z_$]\w*)"
    r"|(?P<char>'(?:\\.|[^'])')"
    r"|(?P<op>->|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^~!()\[\].<>@?:,]))"
)
_BINARY = {
    "||": 1, "&&": 2, "|": 3, "^": 4, "&": 5, "==": 6, "!=": 6, "<": 7, ">": 7, "<=": 7,
    ">=": 7, "<<": 8, ">>": 8, "+": 9, "-": 9, "*": 10, "/": 10, "%": 10, "@": 11,
}  # fmt: skip
_TYPE_WORDS = frozenset(
    ("struct", "union", "enum", "unsigned", "signed", "const", "volatile", "long", "short", "char",
     "int", "void", "_Bool", "bool", "float", "double")
)  # fmt: skip
MOST_ELEMENTS = 100_000


@dataclass(frozen=True)
class Token:
    """One token: its kind and text."""

    kind: str
    text: str


def _tokens(text: str) -> list[Token]:
    found = []
    at = 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise ValueError(f"cannot understand {text[at:].strip()!r} in the expression")
        found.append(Token(match.lastgroup, match.group(match.lastgroup)))
        at = match.end()
    return found


class _Parser:
    def __init__(self, prog: Program, tokens: list[Token]) -> None:
        self.prog = prog
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    def peek(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def take(self, text: str | None = None) -> Token:
        if self.at >= len(self.tokens):
            raise ValueError("the expression ends too early")
        token = self.tokens[self.at]
        if text is not None and token.text != text:
            raise ValueError(f"{text!r} is needed before {token.text!r}")
        self.at += 1
        return token

    # -- from the loosest operator to the tightest

    def expression(self, least: int = 1) -> Any:
        self.depth += 1
        if self.depth > 200:
            raise ValueError("the expression is nested too deeply")
        left = self.unary()
        while True:
            operator = self.peek()
            strength = _BINARY.get(operator, 0)
            if strength < least:
                break
            self.take()
            left = self.binary(operator, left, self.expression(strength + 1))
        if least == 1 and self.peek() == "?":
            self.take("?")
            yes = self.expression()
            self.take(":")
            no = self.expression()
            left = yes if left else no
        self.depth -= 1
        return left

    def binary(self, operator: str, left: Any, right: Any) -> Any:
        if operator == "@":
            count = int(right)
            if not 0 < count <= MOST_ELEMENTS or left.address_ is None:
                raise ValueError("@ needs a value in memory and a count")
            from drgn import Object

            array = self.prog.array_type(left.type_, count)
            return Object(self.prog, array, address=left.address_)
        if operator in {"&&", "||"}:
            return self.number(
                int(bool(left) and bool(right) if operator == "&&" else bool(left) or bool(right))
            )  # one expression
        left, right = _scalar(left), _scalar(right)
        return _APPLY[operator](left, right)

    def unary(self) -> Any:
        text = self.peek()
        if text in {"-", "~", "!", "*", "&", "+"}:
            self.take()
            value = self.unary()
            if text == "*":
                return _scalar(value)[0]
            if text == "&":
                return value.address_of_()
            if text == "!":
                return self.number(int(not value))
            return {"-": lambda v: -v, "~": lambda v: ~v, "+": lambda v: +v}[text](_scalar(value))
        if text == "sizeof":
            return self.size()
        if text == "(" and self.is_type(self.at + 1):
            self.take("(")
            type_ = self.type_name()
            self.take(")")
            return self.cast(type_, self.unary())
        return self.postfix()

    def cast(self, type_: Type, value: Any) -> Any:
        from drgn import Object, TypeKind, cast, reinterpret

        if type_.unaliased_kind() in (TypeKind.STRUCT, TypeKind.UNION):
            return reinterpret(type_, value)
        if value.type_.unaliased_kind() in (TypeKind.ARRAY, TypeKind.FUNCTION):
            value = Object(self.prog, "unsigned long", value.address_)
        return cast(type_, value)

    def size(self) -> Any:
        from drgn import sizeof

        self.take("sizeof")
        if self.peek() == "(" and self.is_type(self.at + 1):
            self.take("(")
            type_ = self.type_name()
            self.take(")")
            return self.number(sizeof(type_))
        return self.number(sizeof(self.unary()))

    def postfix(self) -> Any:
        value = self.primary()
        while self.peek() in {".", "->", "["}:
            operator = self.take().text
            if operator == "[":
                index = int(self.expression())
                self.take("]")
                value = value[index]
            else:
                value = value.member_(self.take().text)
        if self.peek() == "(":
            raise ValueError("functions cannot be called in a dump")
        return value

    def primary(self) -> Any:
        token = self.take()
        if token.text == "(":
            value = self.expression()
            self.take(")")
            return value
        if token.kind == "number":
            text = token.text
            octal = (
                text.startswith("0")
                and text.isdecimal()
                and len(text) > 1
                and set(text) <= set("01234567")
            )  # one condition
            return self.number(
                int(text, 8 if octal else 0)
                if not (text.startswith("0") and len(text) > 1 and not octal and text.isdecimal())
                else int(text)
            )  # one condition
        if token.kind == "hex":
            return self.number(int(token.text, 16))
        if token.kind == "char":
            return self.number(ord(token.text[1:-1].encode().decode("unicode_escape")))
        if token.kind == "name":
            return self.variable(token.text)
        raise ValueError(f"{token.text!r} is not expected here")

    def variable(self, name: str) -> Any:
        try:
            return self.prog[name]
        except KeyError:
            pass
        # A symbol without a type in the debug information, a module's for one.
        from drgn import Object

        try:
            address = self.prog.symbol(name).address
        except LookupError:
            raise LookupError(f"no symbol {name!r}") from None
        return Object(self.prog, "unsigned long", address=address)

    def number(self, value: int) -> Object:
        from drgn import Object

        if -(1 << 31) <= value < 1 << 31:
            return Object(self.prog, "int", value)
        if value < 1 << 63:
            return Object(self.prog, "long", value)
        return Object(self.prog, "unsigned long", value & ((1 << 64) - 1))

    # -- types

    def is_type(self, at: int) -> bool:
        if at >= len(self.tokens) or self.tokens[at].kind != "name":
            return False
        name = self.tokens[at].text
        if name in _TYPE_WORDS:
            return True
        try:
            self.prog[name]
        except KeyError:
            pass
        else:
            return False
        try:
            self.prog.type(name)
        except (LookupError, SyntaxError):
            return False
        return True

    def type_name(self) -> Type:
        words = []
        while self.at < len(self.tokens) and self.tokens[self.at].kind == "name":
            words.append(self.take().text)
        stars = 0
        while self.peek() == "*":
            self.take()
            stars += 1
        type_ = find_type(self.prog, " ".join(words))
        for _ in range(stars):
            type_ = self.prog.pointer_type(type_)
        return type_


def _scalar(value: Any) -> Any:
    """An array or function as the pointer it decays to."""
    from drgn import Object, TypeKind

    kind = value.type_.unaliased_kind()
    if kind == TypeKind.ARRAY:
        return Object(value.prog_, value.prog_.pointer_type(value.type_.type), value.address_)
    if kind == TypeKind.FUNCTION:
        return value.address_of_()
    return value


_APPLY: dict[str, Any] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << b,
    ">>": lambda a, b: a >> b,
    "==": lambda a, b: _truth(a, a == b),
    "!=": lambda a, b: _truth(a, a != b),
    "<": lambda a, b: _truth(a, a < b),
    ">": lambda a, b: _truth(a, a > b),
    "<=": lambda a, b: _truth(a, a <= b),
    ">=": lambda a, b: _truth(a, a >= b),
}


def _truth(like: Any, value: bool) -> Any:
    from drgn import Object

    return Object(like.prog_, "int", int(value))


def evaluate(prog: Program, text: str) -> Any:
    """The value of an expression, a drgn object.

    :raises ValueError: if it cannot be understood
    :raises LookupError: for an unknown name
    :raises drgn.FaultError: if memory cannot be read
    """
    parser = _Parser(prog, _tokens(text))
    try:
        value = parser.expression()
    except TypeError as error:
        raise ValueError(str(error)) from None
    if parser.peek():
        if parser.peek() == "=":
            raise ValueError("a dump cannot be written")
        raise ValueError(f"{parser.peek()!r} is not expected here")
    return value


def address_of(prog: Program, text: str) -> int:
    """The address that an expression means: a pointer's value, else where the object lies.

    :raises ValueError: if it means none
    """
    from drgn import TypeKind

    value = evaluate(prog, text)
    kind = value.type_.unaliased_kind()
    if kind in (TypeKind.POINTER, TypeKind.INT, TypeKind.ENUM) and (
        value.address_ is None or kind == TypeKind.POINTER
    ):
        return int(value.value_()) & ((1 << 64) - 1)
    if value.address_ is not None:
        return int(value.address_)
    raise ValueError(f"{text} is no address")
