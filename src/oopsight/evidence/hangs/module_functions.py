"""The functions of a module as code that is followed, for what is read of those that hang in it.

Not a fact by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from oopsight.errors import SymbolError
from oopsight.evidence.flow.frames import SessionReader
from oopsight.evidence.hangs.stacks import COLD, StackReader
from oopsight.evidence.hangs.waiting import Wait, Waits
from oopsight.evidence.modules.module_code import machine_code
from oopsight.evidence.modules.module_roles import start_and_end
from oopsight.evidence.modules.modules import Module, Modules
from oopsight.kernel.code_locks import Function
from oopsight.session import Session

_MOST_WAITS = 4


def module_functions(session: Session, reader: StackReader, module: Module) -> dict[str, Function]:
    """The functions of a module by their names, without its first and last."""
    edges = start_and_end(session, module.name)
    code: dict[str, Function] = {}
    for name, start, _ in machine_code(SessionReader(session), module):
        function = reader.function(start)
        if function is not None and start not in edges:
            code[name] = function
    return code


def of_waiting(
    session: Session,
    reader: StackReader,
    modules: Modules,
    waits: Waits,
    asked: Callable[[Wait], bool],
) -> Iterator[tuple[Wait, Module, dict[str, Function]]]:
    """Tasks that wait in a module's function, with that module and its functions, each as a whole.

    :param asked: which of those that wait are looked at, so many of them
    """
    for wait in [one for one in waits.victims if asked(one)][:_MOST_WAITS]:
        name = wait.call.module if wait.call is not None else None
        module = next((one for one in modules.loaded if one.name == name), None)
        if module is None:
            continue
        try:
            code = module_functions(session, reader, module)
        except SymbolError:
            continue
        yield wait, module, {part: one for part, one in code.items() if COLD not in part}
