"""Who can have left NULL what a pointer was read from, by what the module's functions do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from oopsight.diagnosis import Culprit
from oopsight.diagnosis.blame import merge
from oopsight.diagnosis.doers import OMITS, said
from oopsight.evidence import Missing
from oopsight.evidence.modules.doers import Doers
from oopsight.evidence.modules.field_doers import FieldDoers, KeptBy
from oopsight.evidence.modules.prints import Prints

_NO_FIELD = FieldDoers(0, None, "", (), (), (), ())
_MOST_CLEAR = 3
"""More than so many functions that store zero at an offset have to do with other objects, too."""


def who_left_it_null(
    doers: Doers | Missing, prints: Prints | Missing, callers: Collection[str] = ()
) -> list[Culprit]:
    """Who can have left the field NULL that a pointer was read from, most suspect first.

    Who clears it and goes on with what meets the pointer, where others stop that first; who does
    not always stop that, where who takes the pointer away relies on it; who
    takes it away and puts another there, which may fail in between; who fills it after it has made
    the object known; who only takes it away; who stores what a call returned without a look at it;
    who has another set it and does not look whether it could; who is handed a new object in place
    of those that set it; who returns with success and has not set it, as it does on other ways; who
    puts the object in place as it got it, where others set the field then; who has another make the
    object known first; who makes such an object and leaves the field alone that others set, or
    nobody; who returns before it has set up what was handed to the kernel. Last who clears it where
    the object does not hold what that one stores beside it.

    :param callers: of who met it: what they do with it for another command, those have to expect
        whom they call for this one
    """
    if isinstance(doers, Missing):
        return []
    field = doers.field(0) or _NO_FIELD
    if len(field.clears) > _MOST_CLEAR:
        return []
    groups = [
        [Culprit(doers.module, name, None, None, why) for name, why in reasons]
        for reasons in (
            *_took_it_away(doers, field, callers),
            *_never_put_it(doers, field, callers),
            _each(
                field.belied, "clears the field, and stores something else beside it than is there"
            ),
        )
    ]
    return merge(*(sorted(group, key=lambda one: said(one, prints) is None) for group in groups))


def _each(names: Iterable[str], why: str) -> list[tuple[str, str]]:
    return [(name, why) for name in names]


def _called_first(kept: Iterable[KeptBy]) -> list[tuple[str, str]]:
    return [(one.function, f"calls {one.called} before it sets the field") for one in kept]


def _took_it_away(
    doers: Doers, field: FieldDoers, callers: Collection[str]
) -> Iterator[list[tuple[str, str]]]:
    # Whoever has it stopped takes the pointer away in good faith.
    trusting = set(doers.stops) & {*field.clears, *field.clear_by, *field.replaces}
    running = doers.stops_for_others if trusting else ()
    clears = [name for name in field.clears if name not in callers and name not in field.belied]
    itself = [name for name in field.replaces if name in clears]
    through = [name for name in field.replaces if clears and name not in field.clears]
    yield _each(
        doers.unstopped,
        "clears the field, and does not first stop what then met it, as others do that clear it",
    )
    yield _each(running, "stops on some ways only what then met the pointer, and others rely on it")
    yield _each(itself, "clears the field before it has another pointer for it")
    yield _called_first(field.late)
    yield _each(field.copies_null, "copies to the field what a variable holds, which is NULL")
    yield _each(clears, "clears the field")
    yield _each(through, "has the field cleared by one function, and set by another")


def _never_put_it(
    doers: Doers, field: FieldDoers, callers: Collection[str]
) -> Iterator[list[tuple[str, str]]]:
    silent = [name for name in doers.silent if name not in callers]
    for names, why in (
        (field.untested, "stores in the field what a call returned, and does not compare it with"
         " NULL"),
        (doers.deaf, "has another set the field, which may fail, and does not look whether it has"),
        (doers.siblings, "is handed such an object in place of those that set the field, and does"
         " not"),
        (doers.skips, "returns with success on some way and has not set the field, although it has"
         " what it puts there on others"),
        (silent, "returns with success on some way and has not set the field of what it was"
         " given, as it does on others"),
        (doers.installs, "puts such an object in place and does not set its field, where others who"
         " do so set it"),
    ):  # fmt: skip
        yield _each(names, why)
    yield _called_first(field.after)
    for names, why in (
        (field.half_tested, "stores in the field what a call returned, and compares that with the"
         " error codes, but not with NULL"),
        (field.handed_on, "stores in the field what it read elsewhere, and does not compare it with"
         " NULL"),
        (doers.omits, OMITS),
        (doers.unstored, "makes what is a device's own when that is bound, and nobody stores it as"
         " the device's data"),
        (doers.hands_none, "tells the kernel NULL for what it hands to callbacks, where others"
         " tell it something"),
        (doers.unfinished, "has set up what was handed to the kernel, and on some way returns"
         " without"),
        (doers.registers, "registered the callback that met it, with what it is called for"),
    ):  # fmt: skip
        yield _each(names, why)


def null_by_right(doers: Doers | Missing, users: set[str]) -> tuple[str, ...]:
    """Who takes NULL for a value that the field may have, where a user of it does not.

    Nobody, where it is only NULL because somebody fills it late, or with what he did not look at,
    or clears it while what uses it goes on;
    nor where a user on the way to the crash compares it too: then it was cleared meanwhile.

    :param users: functions on the crash path
    """
    field = doers.field(0) if isinstance(doers, Doers) else None
    if field is None or not isinstance(doers, Doers) or doers.unstopped:
        return ()
    if field.late or field.untested or users & set(field.checks):
        return ()
    return field.checks
