"""The units of deploy/systemd, judged by systemd's own tools, and started by one of them."""

import asyncio
import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reuse_proxy.config.address import Address
from reuse_proxy.config.loading import load
from tests.support.client import Client
from tests.support.machine import free_ports
from tests.support.programs import need
from tests.support.scrape import admin_get

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
# What `systemd-analyze security` may rate the service at most, in tenths: it calls
# everything up to 2.9 "OK", the best that it has a word for beyond "SAFE".
EXPOSURE = 15
PROGRAM = Path(sys.executable).with_name("reuse-proxy")


@pytest.fixture
def units(tmp_path):
    """The units as they are installed here: the program is where it really is."""
    for unit in UNITS.iterdir():
        text = unit.read_text().replace(
            "/opt/reuse-proxy/bin/reuse-proxy", str(PROGRAM)
        )
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def analyze(*arguments):
    """Run systemd-analyze on files, without a manager."""
    command = [need("systemd-analyze"), *map(str, arguments), "--no-pager"]
    return subprocess.run(  # noqa: S603 - the real one
        command, check=False, capture_output=True, text=True
    )


def unit(name):
    """Read a unit; options that may be repeated are of no interest here."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNITS / name)
    return parser


def test_the_units_are_valid(units):
    """Every option is known, every unit that is named exists: not one warning."""
    names = [path for path in sorted(units.iterdir()) if path.suffix != ".toml"]
    result = analyze("verify", "--man=no", *(n for n in names if n.suffix != ".md"))

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_a_wrong_unit_would_be_noticed(units):
    """That the check can fail."""
    path = units / "reuse-proxy.service"
    path.write_text(path.read_text().replace("WatchdogSec=30s", "WatchdogSecs=30s"))

    assert "WatchdogSecs" in analyze("verify", "--man=no", path).stderr


def test_the_service_is_hardened(units):
    """Its exposure, of 100, is within the limit; that of a bare one is not."""
    bare = units / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    rate = ("security", "--offline=true", f"--threshold={EXPOSURE}")

    hardened = analyze(*rate, units / "reuse-proxy.service")

    assert hardened.returncode == 0, hardened.stdout
    assert analyze(*rate, bare).returncode != 0


def test_a_stop_gives_exchanges_the_time_that_the_settings_promise():
    """The manager kills later than the service gives up by itself."""
    given = load({}, {}, UNITS / "reuse-proxy.toml").settings
    kills_after = unit("reuse-proxy.service")["Service"]["TimeoutStopSec"]

    assert float(kills_after.removesuffix("s")) > given.shutdown_timeout + 5


def test_the_sockets_are_what_the_service_looks_for():
    """Their addresses are the defaults; their names tell which is which."""
    defaults = load({}, {}).settings
    proxy = unit("reuse-proxy.socket")["Socket"]
    admin = unit("reuse-proxy-admin.socket")["Socket"]

    assert Address.parse(proxy["ListenStream"]) in defaults.listen
    assert Address.parse(admin["ListenStream"]) == defaults.admin
    assert admin["FileDescriptorName"] == "admin"
    assert proxy["FileDescriptorName"] != "admin"
    assert admin["Service"] == "reuse-proxy.service"
    service = unit("reuse-proxy.service")["Service"]
    assert service["Sockets"].split() == [
        "reuse-proxy.socket",
        "reuse-proxy-admin.socket",
    ]


async def test_systemds_own_activator_starts_it_at_the_first_connection(make_origin):
    """The client that wakes it is served; the names of the units tell the sockets apart."""
    origin = await make_origin(name="127.0.0.1")
    proxy, admin = (Address("127.0.0.1", port) for port in free_ports(2))
    names = [
        unit(name)["Socket"]["FileDescriptorName"]
        for name in ("reuse-proxy.socket", "reuse-proxy-admin.socket")
    ]
    command = [
        *(need("systemd-socket-activate"), f"--listen={proxy}", f"--listen={admin}"),
        *(f"--fdname={':'.join(names)}", str(PROGRAM), "serve"),
        *("--config", str(UNITS / "reuse-proxy.toml")),
    ]
    clean = {k: v for k, v in os.environ.items() if "proxy" not in k.lower()}
    process = await asyncio.create_subprocess_exec(
        *command, stderr=asyncio.subprocess.PIPE, env=clean
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(20):
            while b"Listening on" not in await process.stderr.readline():
                pass
            await process.stderr.readline()  # of the other one
            async with Client(proxy) as client:
                response = await client.get(f"{origin.url}/")
            ready = await admin_get(admin, "/readyz")
            process.terminate()
            await process.stderr.read()
            code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert response.body == b"hello"
    assert ready.status == 200
    assert code == 0
