"""The Dockerfile, the lock files and the compose file, without a Docker engine.

What the image is like is told by test_docker_image.py.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reuse_proxy.config.loading import load
from tests.support.dockerfile import BUILD, IMAGE, TOP
from tests.support.machine import free_ports
from tests.support.programs import clean_environment
from tests.support.serving import Serving

DEPLOY = TOP / "deploy"
FOLDER = DEPLOY / "docker"
LOCKS = ("requirements.lock", "build.lock")
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
PROXIES = {name: s for name, s in SERVICES.items() if s["image"] == "reuse-proxy"}
MAX_README_LINES = 30


# The Dockerfile...


def test_the_base_is_pinned_and_no_part_of_the_image():
    """By release, patch version and digest; the image itself begins with nothing."""
    assert re.fullmatch(
        r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64} AS build", BUILD.base
    )
    assert IMAGE.base == "scratch"


def test_what_is_installed_comes_with_hashes_and_the_project_without_more():
    """Every call of pip is one or the other."""
    steps = [step for text in BUILD.all("RUN") for step in text.split(" && ")]
    calls = [step.split() for step in steps if "pip" in step.split()]

    locked = [call[-1] for call in calls if "--require-hashes" in call]
    others = [set(call) for call in calls if "--require-hashes" not in call]
    assert locked == [f"deploy/{name}" for name in LOCKS]
    assert [{"--no-deps", "--no-index"} <= words for words in others] == [True]


def test_the_labels_tell_what_the_project_says():
    """Of its name, licence and version; no source, since there is none to name."""
    labels = IMAGE.pairs("LABEL")
    prefix = "org.opencontainers.image."
    names = {"title": "name", "licenses": "license"}

    told = {key.removeprefix(prefix): value for key, value in labels.items()}
    assert told == {
        key: PROJECT["project"][names.get(key, key)]
        for key in ("title", "description", "licenses", "version")
    }


def test_the_user_is_a_number_that_the_image_knows():
    """Kubernetes' runAsNonRoot does not look names up."""
    user, _, group = IMAGE.last("USER").partition(":")
    rootfs = (FOLDER / "rootfs.py").read_text("utf-8")

    assert user == group
    assert int(user) > 0
    assert f'USER = "{user}"' in rootfs
    assert f"--chown={user}:{user} " in " ".join(IMAGE.all("COPY"))


@pytest.mark.parametrize("admin", ["127.0.0.1", "0.0.0.0", "unix"])  # noqa: S104
async def test_the_program_lives_as_the_dockerfile_says(tmp_path, admin):
    """Entry point and command with the environment; its check; its stop signal."""
    address = (
        f"unix:{tmp_path}/admin" if admin == "unix" else f"{admin}:{free_ports(1)[0]}"
    )
    environment = {
        **IMAGE.pairs("ENV"),
        "PATH": str(Path(sys.executable).parent),
        "REUSE_PROXY_LISTEN": "127.0.0.1:0",
        "REUSE_PROXY_ADMIN": address,
        "REUSE_PROXY_ALLOW_ADMIN": "192.0.2.0/24",
        # Neither the program nor its check may be taken in by it.
        "HTTP_PROXY": "http://127.0.0.1:1",
    }
    async with started(
        *IMAGE.command("ENTRYPOINT"), *IMAGE.command("CMD"), environment=environment
    ) as process:
        server = Serving(process)
        await server.ready()
        async with started(
            *IMAGE.command("HEALTHCHECK"), environment=environment
        ) as check:
            healthy = await check.wait()
        server.signal(getattr(signal, IMAGE.last("STOPSIGNAL")))
        code = await server.exit_code()

    assert healthy == 0
    assert code == 0


@contextlib.asynccontextmanager
async def started(*command, environment):
    """Run a program; end it by its id."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_docker_waits_longer_than_the_program_takes_to_stop():
    """It kills ten seconds after the signal, where compose does not say otherwise."""
    given = IMAGE.pairs("ENV")["REUSE_PROXY_SHUTDOWN_TIMEOUT"]
    assert int(given.removesuffix("s")) < 10
    for service in PROXIES.values():
        own = service["environment"]["REUSE_PROXY_SHUTDOWN_TIMEOUT"]
        patience = service["stop_grace_period"]
        assert int(own.removesuffix("s")) < int(patience.removesuffix("s"))


# The locks...


def pins(name):
    """Read a lock: the requirement of each entry, and its hashes."""
    text = (DEPLOY / name).read_text("utf-8")
    text = re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "")
    found = {}
    for line in text.splitlines():
        requirement, *hashes = line.split("--hash=sha256:")
        pin = Requirement(requirement)
        found[canonicalize_name(pin.name)] = (pin, [text.strip() for text in hashes])
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_each_line_of_a_lock_is_one_version_with_hashes_and_no_address(name):
    """Whoever builds chooses the index; whatever it serves must be this."""
    text = (DEPLOY / name).read_text("utf-8")

    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)
    for pin, hashes in pins(name).values():
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier))
        assert hashes
        assert all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("requirements.lock", PROJECT["project"]["dependencies"]),
        ("build.lock", PROJECT["build-system"]["requires"]),
    ],
)
def test_a_lock_satisfies_what_the_project_asks_for(name, wanted):
    """After a change of pyproject.toml: `make lock`."""
    locked = pins(name)

    for requirement in map(Requirement, wanted):
        pin, _ = locked[canonicalize_name(requirement.name)]
        version = str(pin.specifier).removeprefix("==")
        assert requirement.specifier.contains(version), requirement


def test_what_builds_is_declared_twice_alike():
    """For pip, which reads the one, and for the lock, which is made from the other."""
    group = PROJECT["dependency-groups"]["build"]

    assert group == PROJECT["build-system"]["requires"]


@pytest.mark.parametrize(
    "platform", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"]
)
@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_is_whole_and_has_wheels_for_both_machines(name, platform, tmp_path):
    """Resolved by hashes alone, nothing is missing and nothing has to be compiled."""
    done = uv(
        *("pip", "install", "--dry-run", "--require-hashes", "--only-binary", ":all:"),
        *("--python-version", "3.11", "--python-platform", platform),
        *("--target", str(tmp_path), "-r", str(DEPLOY / name)),
    )

    assert done.returncode == 0, done.stderr
    assert f"Would install {len(pins(name))} packages" in done.stderr


def uv(*arguments):
    """Run uv; skip where it reaches no index."""
    done = subprocess.run(  # noqa: S603 - the real one
        [sys.executable, "-m", "uv", "--no-config", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if "error sending request" in done.stderr and not os.environ.get(
        "TESTS_SKIP_NOTHING"
    ):
        pytest.skip("no package index is reached")
    return done


# The compose file...


def test_composes_schema_knows_every_field():
    """The one of the compose specification."""
    done = subprocess.run(  # noqa: S603 - the real one
        [
            *(sys.executable, "-m", "check_jsonschema"),
            *("--builtin-schema", "vendor.compose-spec", str(FOLDER / "compose.yaml")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_every_service_is_confined():
    """A root that cannot be written, no capability, and no way to get one."""
    for service in SERVICES.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_images_are_pinned_and_the_python_is_the_one_that_builds_the_image():
    """So that it is fetched once."""
    images = {s["image"] for s in SERVICES.values()} - {"reuse-proxy"}

    assert BUILD.base.partition(" ")[0] in images
    assert all(re.search(r":v?\d+\.\d+\.\d+", image) for image in images)


def test_whatever_is_mounted_exists():
    """A missing file would come up as an empty folder."""
    mounts = [v for s in SERVICES.values() for v in s.get("volumes", ())]

    files = [v.partition(":")[0] for v in mounts if v.startswith(".")]
    assert files
    assert [file for file in files if not (FOLDER / file).exists()] == []
    named = {v.partition(":")[0] for v in mounts if not v.startswith(".")}
    assert named == set(COMPOSE["volumes"])


def test_a_service_waits_for_what_is_started_with_it_and_has_a_check():
    """One that waits for a service of another profile would never start."""
    for service in SERVICES.values():
        others = service.get("depends_on", {})
        for name in others:
            assert set(service.get("profiles", ())) >= set(
                SERVICES[name].get("profiles", ())
            )
        waited = others.items() if isinstance(others, dict) else ()
        for name, how in waited:
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[name] or name in PROXIES


def test_the_sidecar_shares_the_network_of_its_program():
    """Which asks it on loopback, where it listens by default."""
    sidecar, app = SERVICES["sidecar"], SERVICES["app"]

    assert sidecar["network_mode"] == "service:app"
    assert "REUSE_PROXY_LISTEN" not in sidecar["environment"]
    assert app["environment"]["HTTP_PROXY"] == "http://{}".format(
        IMAGE.pairs("ENV")["REUSE_PROXY_LISTEN"]
    )


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_takes_its_settings(name):
    """On top of the image's: they load without a warning."""
    environment = IMAGE.pairs("ENV") | PROXIES[name]["environment"]

    loaded = load({}, environment)

    assert loaded.warnings == ()
    assert loaded.settings.admin.host == "0.0.0.0"  # noqa: S104 - not bound


def test_prometheus_scrapes_the_proxy_in_either_form():
    """By a name that both have on the network, at the port of the admin listener."""
    [entry] = yaml.safe_load((FOLDER / "targets.yml").read_text("utf-8"))
    [target] = entry["targets"]
    host, _, port = target.partition(":")

    assert host in SERVICES
    assert host in SERVICES["app"]["networks"]["default"]["aliases"]
    for service in PROXIES.values():
        assert service["environment"]["REUSE_PROXY_ADMIN"] == f"0.0.0.0:{port}"


async def test_the_example_leaks_and_the_proxy_mends_it(proxy):
    """One connection for all its requests; without the proxy, one for each."""
    assert (await counted(proxy.url))[1] == 1
    requests, connections = await counted(None)
    assert connections == requests


async def counted(proxy):
    """Run the program and its origin; return requests and connections, once told."""
    port, environment = free_ports(1)[0], clean_environment()
    if proxy:
        environment["HTTP_PROXY"] = proxy
    code = [sys.executable, str(FOLDER / "app/origin.py"), str(port), "0.5"]
    leak = [sys.executable, str(FOLDER / "app/leak.py"), f"http://127.0.0.1:{port}/"]
    async with (
        asyncio.timeout(30),
        started(*code, environment=environment) as origin,
        started(*leak, environment=environment),
    ):
        while line := (await origin.stdout.readline()).decode():
            requests, connections = map(int, re.findall(r"\d+", line))
            if requests >= 10:
                return requests, connections
    raise AssertionError(line)


def test_the_readme_is_short_and_its_links_lead_somewhere():
    """At most 30 lines."""
    text = (FOLDER / "README.md").read_text("utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)

    assert len(text.splitlines()) <= MAX_README_LINES
    assert [link for link in links if not (FOLDER / link).exists()] == []
