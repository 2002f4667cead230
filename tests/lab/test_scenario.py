from __future__ import annotations

import re

import pytest

from oopsight.kinds import Kind
from oopslab.scenario import SCENARIOS, load, scenarios

ALL = scenarios()
TRUTH = {
    "kind",
    "cause",
    "culprit_module",
    "culprit_functions",
    "innocent_modules",
    "faulting_function",
    "file_accessed",
    "trigger_comm",
    "object",
    "description",
}
C_DEFINITION = re.compile(
    r"^(?:static |noinline |const |struct |int |void )[^\n;=]*?(\w+)\(", re.MULTILINE
)


def test_every_folder_is_a_scenario() -> None:
    folders = {path.name for path in SCENARIOS.iterdir() if path.is_dir()}
    assert folders == set(ALL)
    assert {"incident", "incident-reloaded", "null-deref", "sysrq"} <= folders


@pytest.mark.parametrize("name", ALL)
def test_truth_is_complete_and_in_the_words_of_the_reports(name: str) -> None:
    truth = load(name).truth
    assert set(truth) >= TRUTH
    assert truth["kind"] in {kind.value for kind in Kind}
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", truth["cause"])
    assert truth["culprit_module"] not in truth["innocent_modules"]


@pytest.mark.parametrize("name", ALL)
def test_settings_are_sound(name: str) -> None:
    scenario = load(name)
    settings = scenario.settings
    assert settings.summary
    assert len(settings.summary) < 110
    assert settings.expect, "a dump of another crash would be taken for this one"
    for pattern in (*settings.expect, settings.end, *(action.after for action in settings.actions)):
        re.compile(pattern)
    assert "init.sh" in scenario.texts
    for action in settings.actions:
        assert action.execute or action.poke in scenario.texts
    for path, text in scenario.under("module").items():
        assert text.startswith(("// SPDX-License-Identifier: GPL-2.0", "/* SPDX")), path
    culprit = scenario.truth["culprit_module"]
    assert culprit is None or culprit in scenario.modules() or not scenario.modules()


@pytest.mark.parametrize("name", [name for name in ALL if load(name).modules()])
def test_nothing_of_the_modules_keeps_its_name_when_renamed(name: str) -> None:
    plain, renamed = load(name), load(name, "seed")
    assert len(renamed.modules()) == len(plain.modules())
    assert not set(plain.modules()) & set(renamed.modules())
    for path, text in plain.under("module").items():
        if not path.endswith(".c"):
            continue
        functions = {
            word
            for word in C_DEFINITION.findall(text)
            if not word.startswith("__") and not word.isupper()
        }
        kept = {
            function
            for function in functions
            for other in renamed.under("module").values()
            if re.search(rf"\b{function}\b", other)
        }
        assert not kept, f"{name}/{path}: not covered by the rename list"


@pytest.mark.parametrize("name", ALL)
def test_truth_and_expectations_are_renamed_with_the_sources(name: str) -> None:
    renamed = load(name, "seed")
    culprit = renamed.truth["culprit_module"]
    if renamed.modules() and culprit is not None:
        assert culprit in renamed.modules()
    prefixes = load(name).settings.rename
    for path, text in renamed.texts.items():
        for prefix in prefixes:
            assert not re.search(rf"\b{prefix}", text), f"{path} still has {prefix}"


def test_names_that_a_macro_pastes_together_stay_so_when_renamed() -> None:
    named = re.compile(r"DEVICE_ATTR_RW\((\w+)\)")
    (text,) = (t for t in load("bug-on-one-of-three", "seed").texts.values() if named.search(t))
    attribute = named.findall(text)[0]
    assert attribute != "window"
    for pasted in (f"ssize_t {attribute}_show(", f"&dev_attr_{attribute}.attr"):
        assert pasted in text
    (text,) = (t for t in load("lockup-seqcount-odd", "seed").texts.values() if "_groups" in t)
    groups = re.findall(r"ATTRIBUTE_GROUPS\((\w+)\)", text)[0]
    assert groups != "antclk"
    for pasted in (f"struct attribute *{groups}_attrs[]", f".dev_groups = {groups}_groups"):
        assert pasted in text


def test_renaming_depends_on_the_seed_alone() -> None:
    assert load("incident", "a") == load("incident", "a")
    assert load("incident", "a").digest != load("incident", "b").digest
    assert load("incident").digest != load("incident", "a").digest


def test_a_variant_takes_what_it_lacks_from_its_base() -> None:
    base, variant = load("incident"), load("incident-reloaded")
    assert variant.truth["cause"] == base.truth["cause"]
    assert variant.texts["module/vmsecmod.c"] == base.texts["module/vmsecmod.c"]
    assert set(variant.modules()) - set(base.modules()) == {"vmseclic"}
    assert variant.texts["init.sh"] == base.texts["init.sh"]


def test_the_guest_does_not_tell_the_scenario() -> None:
    for name in ALL:
        scenario = load(name)
        seen = [scenario.settings.cmdline, scenario.texts["init.sh"], *scenario.under("files")]
        for text in (*seen, *scenario.under("files").values()):
            # Where a scenario is called after one of the kernel's files, that file is meant.
            told = text.replace("/proc/sysrq-trigger", "")
            assert name not in told, f"{name} is named in what runs in the guest"


def test_a_command_of_the_monitor_takes_arguments() -> None:
    (action,) = load("machine-check").settings.actions
    assert action.execute == "human-monitor-command"
    assert action.arguments["command-line"].startswith("mce 0 ")


def test_part_of_a_name_on_the_console_stands_for_any_new_name() -> None:
    assert load("bug-on-state").settings.expect[1] == "RIP: 0010:jrnl_"
    assert load("bug-on-state", "seed").settings.expect[1] == "RIP: 0010:[a-z]+"
