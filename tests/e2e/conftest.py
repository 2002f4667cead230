"""A Debian server in QEMU, installed with GRUB and systemd, shared by the steps of the story."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from oopslab import payload
from oopslab.disk import copy, installed
from oopslab.errors import LabUnavailable
from oopslab.kernel import Kernel, fetch
from oopslab.kernel import kernel as offered
from oopslab.scenario import load
from oopslab.server import Server

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = ["kdump-tools", "kexec-tools", "makedumpfile"]
VENV = "/opt/oopsight"
# On a machine that does other work as well, software emulation takes its time.
PATIENCE = float(os.environ.get("OOPSIGHT_E2E_PATIENCE", "1"))
PIP = f"PYTHONPATH=$(echo /usr/share/python-wheels/pip-*.whl) {VENV}/bin/python -m pip"


@pytest.fixture(scope="session")
def kernel() -> Kernel:
    try:
        return fetch(offered("6.1"))
    except LabUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="session")
def disk(kernel: Kernel, work: Path) -> Path:
    """The server's own disk, which can be looked into from outside."""
    try:
        return copy(installed(kernel) / "disk.img", work / "disk.img")
    except LabUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def server(kernel: Kernel, work: Path, disk: Path) -> Iterator[Server]:
    """The running server, with Oopsight installed from a wheel and nothing set up."""
    tree = work / "payload"
    (tree / "wheels").mkdir(parents=True)
    payload.repository(kernel, PACKAGES, tree / "debs")
    payload.wheels(CHECKOUT, tree / "wheels")
    payload.incident(load("incident"), kernel, work / "build", tree / "incident")
    gifts = payload.disk(tree, work / "payload.img")
    symbols = copy(payload.symbols(kernel), work / "symbols.img")
    machine = Server(work / "machine", [disk, gifts, symbols], patience=PATIENCE)
    with machine.running():
        machine.log_in()
        machine.shell(
            f"""mkdir -p /media/payload /usr/lib/debug
echo 'UUID={payload.UUID} /media/payload ext4 ro 0 0' >>/etc/fstab
echo 'UUID={payload.SYMBOLS_UUID} /usr/lib/debug ext4 ro 0 0' >>/etc/fstab
mount -a && cp -a /media/payload/incident/. /
echo 'deb [trusted=yes] file:/media/payload/debs ./' >/etc/apt/sources.list
apt-get -qq update"""
        )
        machine.shell(
            f"python3 -m venv --without-pip {VENV} && {PIP} install --quiet --no-compile "
            f"--no-index --find-links /media/payload/wheels oopsight",
            timeout=300,
        )
        machine.shell(f"ln -s {VENV}/bin/oopsight /usr/local/bin/oopsight")
        yield machine
        if not machine.is_off:
            machine.power_off()
