"""The report on a dump for which there are no symbols: from its kernel log, as from any log."""

from __future__ import annotations

from oopsight.evidence import Evidence, to_plain
from oopsight.evidence.console import evidence_of
from oopsight.evidence.crash.symptom import decisive
from oopsight.kernel.printk_ring import read_log
from oopsight.oops import decoded, parse
from oopsight.report import Report, build
from oopsight.session import NoSymbolsError, raw_memory


def log_text(missing: NoSymbolsError) -> str:
    """The kernel log as ``dmesg`` prints it.

    :raises DumpError: if the dump cannot be opened
    :raises SymbolError: if the log cannot be read without symbols
    """
    memory = raw_memory(missing.info)
    lines = (
        (record.nanoseconds / 1e9, line)
        for record in read_log(memory.read, memory.vmcoreinfo).records
        for line in record.text.split(b"\n")
    )
    return "\n".join(
        f"[{seconds:12.6f}] {line.decode('utf-8', 'backslashreplace')}" for seconds, line in lines
    )


def analyze_log(missing: NoSymbolsError) -> Report:
    """Judge the crash report in the log that brought the machine down.

    :raises DumpError: if the dump cannot be opened
    :raises SymbolError: if the log cannot be read without symbols
    """
    reports = parse(log_text(missing))
    evidence = evidence_of(decoded(decisive(reports))) if reports else Evidence(None)
    info = missing.info
    report = build(evidence, info.release)
    report["dump"] = {
        "format": info.format,
        "release": info.release,
        "build_id": info.build_id,
        "problems": list(info.problems),
        "minicore": info.minicore,
        "symbols": to_plain(missing.symbols.attempts),
        "basis": "the kernel log alone",
        "frames": [],
    }
    return report
