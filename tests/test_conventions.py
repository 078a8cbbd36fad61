"""What the project promises about itself: sizes, tests, documents."""

import ast
import asyncio
import re
import statistics
import subprocess
import urllib.request
from pathlib import Path

import pytest

from reuse_proxy.cli import main
from reuse_proxy.config.settings import Settings, default_of
from reuse_proxy.config.sources import flag_name

TOP = Path(__file__).parents[1]
PACKAGE = TOP / "reuse_proxy"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((TOP / "tests").rglob("test_*.py"))
SETTINGS = (TOP / "docs/settings.md").read_text("utf-8")
METRICS = (TOP / "docs/metrics.md").read_text("utf-8")

MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 50
MAX_MEDIAN_LINES = 10

# Modules that may be longer, and why.
LONGER = {
    "downstream/client.py": (400, "a protocol's state machine"),
    "upstream/session.py": (460, "the one place that carries decisions out"),
    "upstream/pool.py": (400, "pure decisions over one set of books"),
    "upstream/connection.py": (370, "a protocol's state machine"),
}

# Modules without a test file of their own: what they do shows only through sockets.
COVERED_BY = {
    "__main__.py": "unit/test_cli.py",
    "service.py": "functional/test_serve.py",
    "parts.py": "functional/test_serve.py",
    "listening.py": "functional/test_activation.py",
    "reload.py": "functional/test_reload.py",
    "commands/reload.py": "functional/test_reload.py",
    "admin/reloads.py": "functional/test_reload.py",
    "upstream/dialing.py": "unit/upstream/test_session.py",
    "upstream/retire.py": "functional/test_reload_connections.py",
    "config/loading.py": "unit/config/test_settings.py",
    "forward/upload.py": "functional/test_protocol_bodies.py",
    "downstream/accesslog.py": "functional/test_access_log.py",
    "downstream/caller.py": "functional/test_ledger.py",
    "downstream/callers.py": "functional/test_ledger.py",
    "downstream/connect.py": "functional/test_tunnels.py",
    "downstream/deadlines.py": "functional/test_security_exhaustion.py",
    "downstream/intercept.py": "functional/test_intercept.py",
    "downstream/sockets.py": "functional/test_never_readers.py",
    "downstream/tunnel.py": "functional/test_tunnels.py",
    "admin/families.py": "unit/admin/test_metrics.py",
    "admin/sources.py": "unit/admin/test_metrics.py",
    "admin/views.py": "functional/test_admin.py",
    "admin/clients.py": "unit/admin/test_metrics.py",
    "upstream/endings.py": "unit/upstream/test_connection.py",
    "upstream/options.py": "unit/upstream/test_session.py",
    "forward/exchange.py": "functional/test_cancellation.py",
    "forward/phase.py": "functional/test_cancellation.py",
    "forward/request.py": "functional/test_protocol_fields.py",
    "admin/app.py": "functional/test_admin.py",
    "downstream/socketfile.py": "functional/test_serve.py",
    "config/machine.py": "unit/config/test_settings.py",
    "commands/asking.py": "unit/commands/test_report.py",
    "commands/serve.py": "functional/test_serve.py",
    "commands/run.py": "functional/test_run.py",
    "report/words.py": "unit/report/test_text.py",
    "workers/gather.py": "functional/test_workers.py",
    "workers/sockets.py": "functional/test_workers.py",
    "workers/supervisor.py": "functional/test_workers_life.py",
    "workers/views.py": "functional/test_workers.py",
    "downstream/client.py": "functional/test_security_exhaustion.py",
    "downstream/listener.py": "functional/test_security_exhaustion.py",
    "downstream/proxy.py": "functional/test_protocol_targets.py",
    "downstream/rules.py": "functional/test_protocol_targets.py",
    "http/hop.py": "unit/http/test_request_fields.py",
    "upstream/head.py": "unit/upstream/test_response.py",
    "upstream/sockets.py": "unit/upstream/test_connection.py",
    "upstream/roles.py": "unit/upstream/test_connection.py",
    "downstream/writing.py": "functional/test_never_readers.py",
    "downstream/refusals.py": "functional/test_protocol_parsing.py",
    "downstream/request.py": "functional/test_protocol_bodies.py",
    "downstream/reply.py": "functional/test_protocol_framing.py",
    "downstream/stall.py": "functional/test_never_readers.py",
    "upstream/refusals.py": "unit/upstream/test_pool_queue.py",
    "upstream/books.py": "unit/upstream/test_pool.py",
    "upstream/fairness.py": "unit/upstream/test_pool_queue.py",
    "upstream/surplus.py": "functional/test_reload_connections.py",
}

# Defaults that depend on the machine, or are told in words.
TOLD_IN_WORDS = {"max_sockets", "max_clients", "deny_ports"}

DOCUMENTS = {
    "README.md": 150,
    "ARCHITECTURE.md": 120,
    "CONTRIBUTING.md": 80,
    "SECURITY.md": 40,
}


def name_of(path):
    """Spell a module as it is written in the tables above."""
    return path.relative_to(PACKAGE).as_posix()


def functions(path):
    """Return every function of a file."""
    tree = ast.parse(path.read_text("utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def lines_of(function):
    """Count a function's lines, its docstring included."""
    return function.end_lineno - function.lineno + 1


def tracked_files():
    """List what git keeps or would keep; skip where there is no repository."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip("not a git repository")
    return [TOP / name for name in done.stdout.splitlines() if (TOP / name).is_file()]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_fits_in_the_head(path):
    """At most 300 lines, but for the listed ones."""
    limit, _ = LONGER.get(name_of(path), (MAX_MODULE_LINES, ""))

    assert len(path.read_text("utf-8").splitlines()) <= limit


def test_every_exemption_names_a_module_and_is_needed():
    """A module that has become short or is gone leaves the list."""
    sizes = {
        name_of(path): len(path.read_text("utf-8").splitlines()) for path in MODULES
    }

    assert [name for name in LONGER if sizes.get(name, 0) <= MAX_MODULE_LINES] == []
    assert set(COVERED_BY) <= set(sizes)


def test_a_function_fits_on_a_screen():
    """At most 50 lines each, and half of them at most 10."""
    lengths = {
        f"{name_of(path)}:{function.lineno} {function.name}": lines_of(function)
        for path in MODULES
        for function in functions(path)
    }

    assert {k: v for k, v in lengths.items() if v > MAX_FUNCTION_LINES} == {}
    assert statistics.median(lengths.values()) <= MAX_MEDIAN_LINES


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.name != "__init__.py"], ids=name_of
)
def test_a_module_has_a_test_file(path):
    """tests/unit mirrors the package; the listed ones are covered elsewhere."""
    own = TOP / "tests/unit" / Path(name_of(path)).with_name(f"test_{path.name}")
    elsewhere = COVERED_BY.get(name_of(path))

    assert own.exists() or (elsewhere and (TOP / "tests" / elsewhere).exists())


def test_every_test_says_in_a_docstring_what_it_shows():
    """Names are sentences; the docstring tells the case."""
    silent = [
        f"{path.relative_to(TOP)}:{function.lineno} {function.name}"
        for path in TESTS
        for function in functions(path)
        if function.name.startswith("test_") and not ast.get_docstring(function)
    ]

    assert TESTS
    assert silent == []


async def test_every_metric_is_documented(proxy):
    """What a scrape names stands in docs/metrics.md, and the other way round."""
    text = await asyncio.to_thread(scrape, proxy.admin_url)
    table = METRICS.split("| metric | |", 1)[1]

    served = set(re.findall(r"^# TYPE reuse_proxy_(\w+) ", text, re.MULTILINE))
    told = set(re.findall(r"`(\w+)(?:\{[\w,]+\})?`", table))
    assert served == told


def scrape(admin_url):
    """Fetch the metrics as Prometheus would, past any proxy of the environment."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{admin_url}/metrics", timeout=5) as response:
        return response.read().decode()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_with_its_default(name):
    """One row of docs/settings.md for each, by the name that the file uses."""
    row = re.search(rf"^\| `{name}` \| ([^|]+) \|", SETTINGS, re.MULTILINE)

    assert row is not None
    assert name in TOLD_IN_WORDS or row[1] == default_of(name)


@pytest.mark.parametrize("command", ["serve", "check"])
def test_every_setting_is_a_flag_in_the_help(command, capsys):
    """The flags are made from the settings, so none is missing."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])

    words = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert ended.value.code == 0
    assert {flag_name(name) for name in Settings.model_fields} <= words


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_stays_short(name):
    """Who wants more reads the code."""
    assert len((TOP / name).read_text("utf-8").splitlines()) <= DOCUMENTS[name]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_a_document_links_to_exists(name):
    """Links into the source tree, that is."""
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (TOP / name).read_text("utf-8"))

    assert [link for link in links if not (TOP / link).exists()] == []


def test_no_file_names_a_folder_of_the_machine_it_was_written_on():
    """Nothing below a home or work folder, which nobody else has."""
    pattern = re.compile(rb"(?<![\w.:/}>-])/(?:work|root|home|Users)/\w")

    found = [
        f"{path.relative_to(TOP)}: {match.group()!r}"
        for path in tracked_files()
        for match in pattern.finditer(path.read_bytes())
    ]

    assert found == []
