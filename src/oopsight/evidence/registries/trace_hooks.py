"""Hooks of tracing: ftrace operations and the probes on tracepoints."""

from __future__ import annotations

from oopsight.evidence.registries import Look

THING = "tracing hook"
REGISTERS = ("tracepoint_probe_register*", "register_ftrace_function*")

_OPS, _POINT, _FUNC = "struct ftrace_ops", "struct tracepoint", "struct tracepoint_func"
_MOST_PROBES = 256


def search(look: Look) -> None:
    """``register_ftrace_function()`` and ``register_trace_*()`` leave them."""
    with look.part("ftrace_ops_list"):
        end = look.symbol("ftrace_list_end")
        first = look.variable("ftrace_ops_list").value_()
        place = look.variable("ftrace_ops_list").address_
        look.word("ftrace_ops_list", place, 0, first, "ftrace_ops_list")
        seen = set()
        while first and first != end and not look.gone(first) and first not in seen:
            seen.add(first)
            look.at(_OPS, first, "func", "ftrace_ops")
            first = look.at(_OPS, first, "next", "ftrace_ops")
    start = look.symbol("__start___tracepoints_ptrs")
    stop = look.symbol("__stop___tracepoints_ptrs")
    # 32-bit offsets from their own place: CONFIG_HAVE_ARCH_PREL32_RELOCATIONS, on x86-64 and arm64.
    data = look.prog.read(start, max(0, min(stop - start, 1 << 20)))
    for at in range(0, len(data) - 3, 4):
        point = start + at + int.from_bytes(data[at : at + 4], "little", signed=True)
        with look.part("a tracepoint"):
            probes = look.read(_POINT, point, "funcs")
            if not probes:
                continue
            name = look.string(look.read(_POINT, point, "name"))
            for index in range(_MOST_PROBES):
                probe = probes + index * (look.type(_FUNC).size or 24)
                if not look.at(_FUNC, probe, "func", f"tracepoint {name}"):
                    break
