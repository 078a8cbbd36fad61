"""The manifests of deploy/kubernetes, read as the API server and the kubelet would."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).parents[2]
FOLDER = TOP / "deploy" / "kubernetes"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))

Object = dict[str, Any]

_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_OF_IMAGE = re.compile(r"\b(REUSE_PROXY_\w+)=(\S+?)(?: ?\\)?$", re.MULTILINE)
# What the kubelet puts into every container; and, in the namespace of daemonset.yaml,
# beside a service called reuse-proxy.
OF_KUBELET = {
    "KUBERNETES_SERVICE_HOST": "10.96.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
    "REUSE_PROXY_SERVICE_HOST": "10.96.7.7",
    "REUSE_PROXY_SERVICE_PORT": "4128",
    "REUSE_PROXY_PORT": "tcp://10.96.7.7:4128",
    "REUSE_PROXY_PORT_4128_TCP": "tcp://10.96.7.7:4128",
}
NODE_ADDRESS = "192.0.2.10"
_OF_POD = {"status.hostIP": NODE_ADDRESS}


def objects(file: str) -> list[Object]:
    """Read all objects of a file."""
    return [*yaml.safe_load_all((FOLDER / file).read_text("utf-8"))]


def the(kind: str, file: str) -> Object:
    """Return the one object of a kind that a file has."""
    [found] = [item for item in objects(file) if item["kind"] == kind]
    return found


@dataclass(frozen=True)
class Container:
    """A container, as a pod's template describes it."""

    pod: Object
    spec: Object
    files: Mapping[str, Mapping[str, str]]

    @property
    def command(self) -> list[str]:
        """What is run: the image's entry point unless there is another."""
        return [*self.spec.get("command", ["reuse-proxy"]), *self.spec.get("args", [])]

    def environment(self) -> dict[str, str]:
        """Return the image's variables, and over them those that the manifest sets."""
        own: dict[str, str] = {}
        for item in self.spec.get("env", []):
            value = item.get("value")
            if value is None:
                value = _OF_POD[item["valueFrom"]["fieldRef"]["fieldPath"]]
            own[item["name"]] = _expanded(value, OF_KUBELET | own)
        image = of_image() if self.is_proxy else {}
        # HOME is what container runtimes set for a user without an entry in passwd.
        return {"HOME": "/", **image, **OF_KUBELET, **own}

    @property
    def is_proxy(self) -> bool:
        """Tell whether it is ours."""
        return self.spec["image"].startswith("reuse-proxy:")

    def ports(self) -> dict[str, int]:
        """Return the ports by name."""
        return {port["name"]: port["containerPort"] for port in self.spec["ports"]}

    def mounted(self, folder: Path) -> list[str]:
        """Write what its ConfigMaps hold into a folder; return the command to match."""
        command = self.command
        for mount in self.spec.get("volumeMounts", []):
            for name, text in self.files[mount["name"]].items():
                (folder / name).write_text(text, "utf-8")
            command = [
                part.replace(mount["mountPath"], str(folder)) for part in command
            ]
        return command


def _expanded(value: str, known: Mapping[str, str]) -> str:
    """Put variables in the place of $(NAME); what is not known stays, as with pods."""
    return _REFERENCE.sub(lambda found: known.get(found[1], found[0]), value)


def containers(file: str) -> list[Container]:
    """Return the containers of a file's one workload, sidecars first."""
    [pod] = [item["spec"]["template"] for item in objects(file) if _is_workload(item)]
    maps = {
        item["metadata"]["name"]: item["data"]
        for item in objects(file)
        if item["kind"] == "ConfigMap"
    }
    files = {
        volume["name"]: maps[volume["configMap"]["name"]]
        for volume in pod["spec"].get("volumes", [])
    }
    specs = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    return [Container(pod, spec, files) for spec in specs]


def proxy_of(file: str) -> Container:
    """Return the proxy's container."""
    [found] = [container for container in containers(file) if container.is_proxy]
    return found


def _is_workload(item: Object) -> bool:
    return item["kind"] in ("Deployment", "DaemonSet")


def of_image() -> dict[str, str]:
    """Return the settings that the image sets."""
    return dict(_OF_IMAGE.findall((TOP / "Dockerfile").read_text("utf-8")))
