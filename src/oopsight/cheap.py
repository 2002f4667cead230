"""``dataclasses`` for classes that are many: the same decorator, without its cost at import.

The standard one compiles the source of up to seven methods for each class: 0.3 to 0.6 ms, a hundred
times, before the first byte of a dump is read. Here the methods are closures over the names of the
fields. Every other part of the standard module works on these classes too; what it needs to know
of one is worked out when it first asks.

>>> @dataclass(frozen=True)
... class Place:
...     address: int
...     name: str = "?"
>>> Place(1), replace(Place(1), name="x") == Place(1, "x")
(Place(address=1, name='?'), True)
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any


class Field:
    """What is not as usual with one field."""

    def __init__(self, default_factory: Callable[[], Any] | None, *, shown: bool) -> None:
        self.default_factory, self.shown = default_factory, shown


__all__ = ["dataclass", "field", "field_names", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass, field, replace
else:

    def field(*, default_factory: Callable[[], Any] | None = None, repr: bool = True) -> Field:  # noqa: A002
        """As :func:`dataclasses.field`."""
        return Field(default_factory, shown=repr)

    def replace(value: Any, /, **changes: Any) -> Any:
        """As :func:`dataclasses.replace`."""
        return type(value)(**{n: getattr(value, n) for n in field_names(value)} | changes)

    def dataclass(
        cls: type | None = None,
        /,
        *,
        frozen: bool = False,
        eq: bool = True,
        kw_only: bool = False,
    ) -> Any:
        """As :func:`dataclasses.dataclass`; of a base's fields it knows nothing."""
        if cls is None:
            return lambda cls: _complete(cls, frozen, eq, kw_only)
        return _complete(cls, frozen, eq, kw_only)


def field_names(kind: Any) -> tuple[str, ...]:
    """The fields of a class made here, or of an object of one; none for anything else."""
    names: tuple[str, ...] = getattr(kind, "_field_names", ())
    return names


def _complete(cls: type, frozen: bool, eq: bool, kw_only: bool) -> type:
    """Give a class its methods, where it has none of its own."""
    if field_names(cls):
        raise TypeError(f"{cls.__qualname__}: its base's fields would be lost")
    own = vars(cls)
    names = tuple(n for n, kind in cls.__annotations__.items() if "ClassVar" not in str(kind))
    given = {name: own[name] for name in names if name in own}
    special = {n: value for n, value in given.items() if isinstance(value, Field)}
    for name in special:
        delattr(cls, name)
    plain = {n: value for n, value in given.items() if n not in special}
    made = {n: value.default_factory for n, value in special.items() if value.default_factory}
    shown = tuple(n for n in names if n not in special or special[n].shown)
    methods: dict[str, Any] = {
        "_field_names": names,
        "__match_args__": () if kw_only else names,
        "__init__": _initialiser(cls, names, 0 if kw_only else len(names), plain, made),
        "__repr__": _representation(shown),
        "__dataclass_fields__": _Standard(cls, "__dataclass_fields__", plain, special, kw_only),
        "__dataclass_params__": _Standard(cls, "__dataclass_params__", plain, special, kw_only),
    }
    if eq:
        methods |= {"__eq__": _equality(names), "__hash__": _hash(names) if frozen else None}
    if frozen:
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse}
    for name, method in methods.items():
        if name not in own:
            setattr(cls, name, method)
    return cls


def _initialiser(
    cls: type,
    names: tuple[str, ...],
    positional: int,
    plain: dict[str, Any],
    made: dict[str, Callable[[], Any]],
) -> Callable[..., None]:
    known, count = frozenset(names), len(names)
    after = vars(cls).get("__post_init__")

    def initialise(self: Any, *args: Any, **given: Any) -> None:
        # Straight into the dictionary: a frozen object cannot be assigned to.
        values = self.__dict__
        if args:
            values.update(zip(names, args, strict=False))
        values.update(given)
        if (
            len(args) > positional
            or len(values) != len(args) + len(given)
            or not known.issuperset(given)
        ):
            raise TypeError(_complaint(cls, names, positional, args, given))
        if len(values) < count:
            for name, default in plain.items():
                values.setdefault(name, default)
            for name, make in made.items():
                if name not in values:
                    values[name] = make()
            if len(values) < count:
                raise TypeError(_complaint(cls, names, positional, args, given))
        if after is not None:
            after(self)

    return initialise


def _complaint(
    cls: type, names: tuple[str, ...], positional: int, args: tuple[Any, ...], given: dict[str, Any]
) -> str:
    problems = {
        "too many": args[positional:],
        "unknown": sorted(given.keys() - set(names)),
        "given twice": sorted(given.keys() & set(names[: len(args)])),
    }
    said = [
        f"{problem}: {', '.join(map(str, which))}" for problem, which in problems.items() if which
    ]
    wanted = ", ".join(names)
    return f"{cls.__qualname__}({wanted}): {'; '.join(said) or 'arguments are missing'}"


def _representation(names: tuple[str, ...]) -> Callable[[Any], str]:
    def represent(self: Any) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({fields})"

    return represent


def _values(names: tuple[str, ...]) -> Callable[[Any], Any]:
    """One object for all the values, which compares and hashes as they do."""
    return operator.attrgetter(*names) if names else type


def _equality(names: tuple[str, ...]) -> Callable[[Any, object], bool]:
    values = _values(names)

    def equal(self: Any, other: object) -> bool:
        return values(self) == values(other) if type(self) is type(other) else NotImplemented

    return equal


def _hash(names: tuple[str, ...]) -> Callable[[Any], int]:
    values = _values(names)
    return lambda self: hash(values(self))


def _refuse(self: Any, name: str, *_: Any) -> None:
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(f"{name!r} of {type(self).__qualname__} stays as it is")


class _Standard:
    """What :mod:`dataclasses` keeps of a class, as the standard decorator makes it."""

    def __init__(
        self,
        cls: type,
        name: str,
        plain: dict[str, Any],
        special: dict[str, Field],
        kw_only: bool,
    ) -> None:
        self._cls, self._name, self._kw_only = cls, name, kw_only
        self._plain, self._special = plain, special

    def __get__(self, value: Any, cls: type) -> Any:
        import dataclasses

        special = {
            name: dataclasses.field(
                repr=one.shown, default_factory=one.default_factory or dataclasses.MISSING
            )
            for name, one in self._special.items()
        }
        body = {
            "__annotations__": self._cls.__annotations__,
            "__module__": self._cls.__module__,
            **self._plain,
            **special,
        }
        bare = type(self._cls.__name__, (), body)
        model: type = dataclasses.dataclass(kw_only=self._kw_only)(bare)
        return vars(model)[self._name]
