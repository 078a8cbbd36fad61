"""deploy/kubernetes against the API's schemas, our own settings, and itself."""

import copy
import itertools
import json
import re
import subprocess
import tomllib
import urllib.request
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
from kubernetes_validate.utils import all_versions
from requests.utils import should_bypass_proxies

from reuse_proxy import __version__
from reuse_proxy.config.loading import load
from reuse_proxy.config.settings import Settings
from tests.support.manifests import (
    FILES,
    FOLDER,
    TOP,
    Container,
    containers,
    objects,
    of_image,
    proxy_of,
    the,
)
from tests.support.programs import node_program

WORKLOADS = ["sidecar.yaml", "daemonset.yaml"]
# What each needs at least, as its first lines say; PodMonitor is not the API's own.
SINCE = {
    "sidecar.yaml": (1, 29),
    "daemonset.yaml": (1, 30),
    "networkpolicy.yaml": (1, 25),
}
MAX_README_LINES = 30
HARDENED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def versions(file):
    """Return the versions of the API that a file is for and whose schemas are here."""
    known = {v: tuple(map(int, v.split(".")[:2])) for v in all_versions()}
    return [version for version, number in known.items() if number >= SINCE[file]]


def judge(item, version):
    """Validate an object as a strict API server would: unknown fields are refused."""
    kubernetes_validate.validate(item, version, strict=True)


def selected(selector, labels):
    """Tell whether a label selector selects."""
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    return wanted and all(
        expression["operator"] == "Exists" and expression["key"] in labels
        for expression in selector.get("matchExpressions", [])
    )


def effective(file, folder):
    """Load the settings that a proxy's container comes to have."""
    proxy = proxy_of(file)
    command = proxy.mounted(folder)
    path = folder / "reuse-proxy.toml" if "--config" in command else None
    assert command == [
        "reuse-proxy",
        "serve",
        *(["--config", str(path)] if path else []),
    ]
    return load({}, proxy.environment(), path)


# Schemas...


@pytest.mark.parametrize("file", SINCE)
def test_a_manifest_is_what_each_version_of_the_api_wants(file):
    """From the first that has what it uses to the newest whose schemas are here."""
    assert len(versions(file)) >= 5

    for item, version in itertools.product(objects(file), versions(file)):
        judge(item, version)


@pytest.mark.parametrize("file", ["sidecar.yaml", "daemonset.yaml"])
def test_it_names_the_first_version_that_it_works_with(file):
    """The one before it knows less, or has it off."""
    major, minor = SINCE[file]

    assert f"Needs Kubernetes {major}.{minor}," in (FOLDER / file).read_text("utf-8")


def test_a_sidecar_is_refused_by_an_api_that_has_none():
    """So the schemas do look at it."""
    with pytest.raises(kubernetes_validate.ValidationError, match="restartPolicy"):
        judge(the("Deployment", "sidecar.yaml"), "1.27")


@pytest.mark.parametrize(
    ("field", "value"), [("restartPolcy", "Always"), ("args", "serve")]
)
def test_an_unknown_field_or_a_wrong_type_would_be_refused(field, value):
    """The schemas look as far as into the proxy's container."""
    item = copy.deepcopy(the("Deployment", "sidecar.yaml"))
    item["spec"]["template"]["spec"]["initContainers"][0][field] = value

    with pytest.raises(kubernetes_validate.ValidationError):
        judge(item, versions("sidecar.yaml")[-1])


def judged_by_operator(monitor):
    """Return what the Prometheus operator's own types have against a monitor."""
    command = node_program("podmonitor.js", "@kubernetes-models/prometheus-operator")
    return subprocess.run(  # noqa: S603 - a program of ours
        command, input=json.dumps(monitor), capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_monitor_is_what_the_operator_wants():
    """By types that are made from its source."""
    assert judged_by_operator(the("PodMonitor", "podmonitor.yaml")) == ""


@pytest.mark.parametrize(
    ("field", "value"), [("interval", 15), ("interval", "15x"), ("intervals", "15s")]
)
def test_a_wrong_monitor_would_be_refused(field, value):
    """A wrong type, a wrong form, a field that there is not."""
    monitor = the("PodMonitor", "podmonitor.yaml")
    monitor["spec"]["podMetricsEndpoints"][0][field] = value

    assert field in judged_by_operator(monitor)


# What belongs together...


@pytest.mark.parametrize("file", WORKLOADS)
def test_a_workload_selects_its_own_pods(file):
    """The API would refuse it otherwise; the schema does not say so."""
    kind = "Deployment" if file == "sidecar.yaml" else "DaemonSet"
    workload = the(kind, file)

    labels = workload["spec"]["template"]["metadata"]["labels"]
    assert selected(workload["spec"]["selector"], labels)


def test_the_service_leads_to_the_proxies_of_its_namespace_and_to_their_proxy_port():
    """By labels and by the port's name."""
    service, proxy = the("Service", "daemonset.yaml"), proxy_of("daemonset.yaml")
    [port] = service["spec"]["ports"]

    labels = proxy.pod["metadata"]["labels"]
    namespaces = {
        item["metadata"].get("namespace") for item in objects("daemonset.yaml")
    }
    assert service["spec"]["selector"].items() <= labels.items()
    assert proxy.ports()[port["targetPort"]] == port["port"] == 4128
    assert service["spec"]["internalTrafficPolicy"] == "Local"
    assert namespaces == {None, "reuse-proxy"}  # the Namespace itself has none


@pytest.mark.parametrize("file", WORKLOADS)
def test_the_monitor_finds_the_admin_port_of_each_proxy(file):
    """And of nothing else in the pod."""
    monitor = the("PodMonitor", "podmonitor.yaml")["spec"]
    pod = containers(file)[0].pod
    [endpoint] = monitor["podMetricsEndpoints"]

    named = [
        (container.spec["name"], port["containerPort"])
        for container in containers(file)
        for port in container.spec.get("ports", [])
        if port["name"] == endpoint["port"]
    ]
    assert selected(monitor["selector"], pod["metadata"]["labels"])
    assert set(monitor["podTargetLabels"]) <= set(pod["metadata"]["labels"])
    assert named == [("reuse-proxy", 4129)]


def test_the_alerts_know_what_the_monitor_calls_its_job():
    """The operator calls it namespace/name; that of a silent proxy is by job."""
    metadata = the("PodMonitor", "podmonitor.yaml")["metadata"]
    alerts = (TOP / "deploy/prometheus/alerts.yml").read_text("utf-8")
    [job] = re.findall(r'up\{job=~"([^"]+)"\}', alerts)

    assert re.fullmatch(job, f"{metadata['namespace']}/{metadata['name']}")


@pytest.mark.parametrize("file", WORKLOADS)
def test_one_network_policy_selects_each_pod_and_opens_the_ports_it_has(file):
    """The proxy's where pods come from outside of it, and the admin listener's."""
    proxy = proxy_of(file)
    [policy] = [
        item["spec"]
        for item in objects("networkpolicy.yaml")
        if selected(item["spec"]["podSelector"], proxy.pod["metadata"]["labels"])
    ]

    opened = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    assert opened == set(proxy.ports().values())
    assert all(rule.get("from") for rule in policy["ingress"])


def test_the_pod_network_is_the_same_in_all_files():
    """The README has one command that puts another in its place."""
    text = "".join((FOLDER / file).read_text("utf-8") for file in FILES)
    readme = (FOLDER / "README.md").read_text("utf-8")

    networks = set(re.findall(r"\b10\.[\d.]+/\d+", text))
    [network] = networks - {"10.0.0.0/8"}
    assert network in readme


# Our settings...


@pytest.mark.parametrize("file", WORKLOADS)
def test_the_settings_load_without_a_warning(file, tmp_path):
    """Variables of the image, of the kubelet and of the manifest, and the file."""
    assert effective(file, tmp_path).warnings == ()


@pytest.mark.parametrize("file", WORKLOADS)
def test_the_proxy_listens_on_the_ports_that_are_named(file, tmp_path):
    """A sidecar's proxy port is for its own pod, and has no name."""
    settings = effective(file, tmp_path).settings
    ports = proxy_of(file).ports()
    [listen] = settings.listen

    assert settings.admin.port == ports["proxy-admin"]
    assert listen.is_loopback == ("proxy" not in ports)
    assert listen.port == ports.get("proxy", 4128)


def test_what_the_file_says_counts(tmp_path):
    """No variable of the manifest or of the image overrides it in silence."""
    text = the("ConfigMap", "daemonset.yaml")["data"]["reuse-proxy.toml"]

    loaded = effective("daemonset.yaml", tmp_path)
    path = str(tmp_path / "reuse-proxy.toml")
    assert {loaded.sources[name] for name in tomllib.loads(text)} == {path}


@pytest.mark.parametrize("file", WORKLOADS)
def test_what_the_image_sets_for_docker_does_not_count_here(file):
    """Its defaults are those of another world: the manifest sets each of them."""
    own = {item["name"] for item in proxy_of(file).spec["env"]}

    assert set(of_image()) <= own


@pytest.mark.parametrize("file", WORKLOADS)
def test_the_grace_period_is_longer_than_what_happens_in_it(file, tmp_path):
    """What comes before the proxy is asked, and what it then may take."""
    proxy = proxy_of(file)
    spec = proxy.pod["spec"]
    sleep = proxy.spec.get("lifecycle", {}).get("preStop", {}).get("sleep", {})

    # A sidecar is asked after the app has ended, which gets the usual 30 s.
    before = 30 if file == "sidecar.yaml" else sleep["seconds"]
    shutdown = effective(file, tmp_path).settings.shutdown_timeout
    assert spec["terminationGracePeriodSeconds"] > before + shutdown


# Safety...


@pytest.mark.parametrize("file", WORKLOADS)
def test_every_container_has_no_more_rights_than_it_needs(file):
    """As the Pod Security Standard `restricted` wants it, and more."""
    for container in containers(file):
        pod = container.pod["spec"]["securityContext"]

        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] > 0
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container.spec["securityContext"] == HARDENED
        assert container.pod["spec"]["automountServiceAccountToken"] is False
        assert "hostNetwork" not in container.pod["spec"]


@pytest.mark.parametrize("file", WORKLOADS)
def test_every_container_has_bounds(file):
    """Requests for both, and a limit on memory; none on CPU, which would throttle."""
    for container in containers(file):
        resources = container.spec["resources"]

        assert set(resources["requests"]) == {"cpu", "memory"}
        assert set(resources["limits"]) == {"memory"}


def test_every_image_is_pinned_and_ours_is_of_this_version():
    """A tag that is a version; ours in step with pyproject.toml."""
    images = {c.spec["image"] for file in WORKLOADS for c in containers(file)}
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]

    assert f"reuse-proxy:{project['version']}" in images
    assert project["version"] == __version__
    assert all(re.search(r":\d+\.\d+\.\d+$", image) for image in images)
    assert (
        proxy_of("sidecar.yaml").spec["image"]
        == proxy_of("daemonset.yaml").spec["image"]
    )


def test_the_sidecar_is_one():
    """An init container that is restarted, and that the app waits for."""
    sidecar, app = containers("sidecar.yaml")
    pod = sidecar.pod["spec"]

    assert pod["initContainers"] == [sidecar.spec]
    assert sidecar.spec["restartPolicy"] == "Always"
    assert "startupProbe" in sidecar.spec
    assert not app.is_proxy


def test_an_update_never_leaves_a_node_without_a_proxy():
    """The new one first; nothing that two pods of a node cannot share."""
    daemonset = the("DaemonSet", "daemonset.yaml")["spec"]
    update = daemonset["updateStrategy"]["rollingUpdate"]

    assert update == {"maxSurge": 1, "maxUnavailable": 0}
    ports = [port for c in containers("daemonset.yaml") for port in c.spec["ports"]]
    assert not any("hostPort" in port for port in ports)


# The app's variables...


def app() -> Container:
    """Return the app beside the sidecar."""
    [found] = [c for c in containers("sidecar.yaml") if not c.is_proxy]
    return found


def test_the_app_is_sent_to_the_sidecar_in_both_spellings(tmp_path):
    """To the very address that it listens on."""
    [listen] = effective("sidecar.yaml", tmp_path).settings.listen
    variables = app().environment()

    assert variables["HTTP_PROXY"] == variables["http_proxy"] == f"http://{listen}"
    assert variables["NO_PROXY"] == variables["no_proxy"]


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        ("http://example.com/", False),
        ("http://svc.example.com/", False),
        ("http://billing.shop.svc/", True),
        ("http://billing.shop.svc.cluster.local:8080/", True),
        ("https://10.96.0.1:443/api", True),
        ("http://localhost:9000/", True),
        ("http://127.0.0.1:9000/", True),
    ],
)
def test_what_is_inside_the_cluster_goes_straight(url, direct, monkeypatch):
    """As requests and urllib read NO_PROXY, with the API server's address filled in."""
    for name, value in app().environment().items():
        if "proxy" in name.lower():
            monkeypatch.setenv(name, value)

    netloc = urlsplit(url).netloc
    assert should_bypass_proxies(url, no_proxy=None) == direct
    assert bool(urllib.request.proxy_bypass(netloc)) == direct


# The README...


def test_the_readme_is_short_and_names_every_file():
    """And no file that there is not."""
    text = (FOLDER / "README.md").read_text("utf-8")

    assert len(text.splitlines()) <= MAX_README_LINES
    assert set(re.findall(r"[\w-]+\.yaml", text)) == set(FILES)
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert [link for link in links if not (FOLDER / link).exists()] == []


def test_every_variable_that_a_comment_names_is_a_setting():
    """Settings are spelled as settings, in manifests and in the README."""
    texts = [(FOLDER / file).read_text("utf-8") for file in [*FILES, "README.md"]]

    names = {n for text in texts for n in re.findall(r"\bREUSE_PROXY_(\w+)", text)}
    assert {name.lower() for name in names} <= set(Settings.model_fields)
