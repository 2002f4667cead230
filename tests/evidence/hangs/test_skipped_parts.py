"""Whose count of parts ends something, and who hands out fewer."""

from __future__ import annotations

from handmade_code import NAMES, START, function
from handmade_facts import module

from oopsight.evidence.hangs.skipped_parts import _passing, _skipping, counts_of
from oopsight.kernel.code_locks import Function
from oopsight.kernel.machine_code import Expression

# if (!--job->pending) complete(&job->done)
PUT = ("ff4f10 7509 488d7f20", "call complete", "c3")
DRIVER = module("drv", START, START + 0x1000, "O")


def test_the_count_with_whose_end_something_ends() -> None:
    (count,) = counts_of({"job_put": function(*PUT)}, NAMES.get)
    assert count.place == Expression("rdi", 0x10)
    assert count.ended == Expression("rdi", 0x20)
    # Not the last of a count
    always = function("ff4f10 488d7f20", "call complete", "c3")
    assert not list(counts_of({"job_put": always}, NAMES.get))


def test_who_sets_it_and_leaves_a_part_out() -> None:
    put = function(*PUT)
    # pending = 1; if (busy) return; job_put(job)
    start = bytes.fromhex("53 c7471001000000 85f6 7505 e8") + (-0x111).to_bytes(
        4, "little", signed=True
    )
    begin = START + 0x100
    code = {"job_put": put, "job_start": Function(start + bytes.fromhex("5b c3"), begin, NAMES.get)}
    assert _passing(code, ["job_put"], NAMES.get) == {START, begin}

    def name_of(address: int) -> str | None:
        return "job_put" if address == START else NAMES.get(address)

    counts = list(counts_of(code, name_of))
    (found,) = _skipping(DRIVER, code, counts, name_of)
    assert (found.function, found.at, found.counting) == ("job_start", "job_start+0x12", "job_put")
    assert not list(_skipping(DRIVER, code, [], name_of))
