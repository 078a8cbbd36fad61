"""Where settings come from: flags, the environment and a TOML file, unjudged.

Reads raw values and remembers each one's source. Which settings exist is told by the
class that is handed in; what a value may be is not known here.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    TomlConfigSettingsSource,
)

from reuse_proxy.errors import SettingsError

DEFAULT = "default"
ENV_PREFIX = "REUSE_PROXY_"
CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"

_LONGEST_SHOWN = 60
# What Kubernetes puts into every container beside a service called reuse-proxy.
_SERVICE_LINK = re.compile(
    r"\w+_SERVICE_HOST=.*|\w+_SERVICE_PORT(_\w+)?=.*"
    r"|\w+_PORT=\w+://.*|\w+_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=.*"
)


@dataclass(frozen=True)
class Given:
    """A raw value and where it was written, in the words of whoever wrote it.

    It may hold a password, so it is not part of the ``repr``.
    """

    value: object = field(repr=False)
    source: str

    def refusal(self, name: str, problem: str, part: object) -> str:
        """Begin the sentence that refuses this value, or a part of it."""
        shown = json.dumps(part, ensure_ascii=False, default=str)
        if len(shown) > _LONGEST_SHOWN:
            shown = f"{shown[:_LONGEST_SHOWN]}…"
        return f"{name} = {shown} (from {self.source}) {problem}"


def flag_name(name: str, *, negative: bool = False) -> str:
    """Name the flag of a setting."""
    return f"--{'no-' * negative}{name.replace('_', '-')}"


def variable_name(name: str) -> str:
    """Name the environment variable of a setting."""
    return f"{ENV_PREFIX}{name.upper()}"


def from_flags(flags: Mapping[str, object]) -> dict[str, Given]:
    """Take the flags as they are, each under its setting's name."""
    return {
        name: Given(value, flag_name(name, negative=value is False))
        for name, value in flags.items()
    }


def from_environment(
    settings: type[BaseSettings], environ: Mapping[str, str]
) -> dict[str, Given]:
    """Read the settings' variables; an empty one counts as not set."""
    source = EnvSettingsSource(settings, env_prefix=ENV_PREFIX)
    # The library has read os.environ; the caller's mapping takes its place.
    source.env_vars = {name.lower(): text for name, text in environ.items() if text}
    return {name: Given(value, variable_name(name)) for name, value in source().items()}


def unknown_variables(
    settings: type[BaseSettings], environ: Mapping[str, str]
) -> Iterator[str]:
    """Say which variables carry our prefix and name no setting."""
    known = [CONFIG_VARIABLE, *map(variable_name, settings.model_fields)]
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX) or name.upper() in known:
            continue
        if not _SERVICE_LINK.fullmatch(f"{name}={environ[name]}"):
            yield f"{name} (in the environment) is not a setting; " + close_match(
                name, known
            )


def close_match(name: str, names: Iterable[str]) -> str:
    """End a sentence about an unknown name."""
    close = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else "`reuse-proxy check` lists them."


def from_file(
    settings: type[BaseSettings], config_file: Path | None, environ: Mapping[str, str]
) -> dict[str, Given]:
    """Read the TOML file that `--config` or REUSE_PROXY_CONFIG names, if any."""
    if config_file is not None:
        return _read(settings, config_file, "--config")
    if path := environ.get(CONFIG_VARIABLE):
        return _read(settings, Path(path), CONFIG_VARIABLE)
    return {}


def _read(settings: type[BaseSettings], path: Path, named_by: str) -> dict[str, Given]:
    named = f"{path} (from {named_by})"
    try:
        if not path.expanduser().is_file():
            raise SettingsError(
                f"{named} is not a file; create it, or give another path."
            )
        values = TomlConfigSettingsSource(settings, path)()
    except OSError as exc:
        reason = (exc.strerror or str(exc)).lower()
        raise SettingsError(
            f"{named} cannot be read ({reason}); correct its permissions."
        ) from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(
            f"{named} is not TOML: byte {exc.start + 1} is not UTF-8;"
            " save the file as UTF-8."
        ) from exc
    except tomllib.TOMLDecodeError as exc:
        raise SettingsError(f"{named} is not TOML: {exc}; correct that line.") from exc
    except RecursionError as exc:
        raise SettingsError(
            f"{named} is nested too deeply; no setting is more than a list."
        ) from exc
    return {name: Given(value, str(path)) for name, value in values.items()}
