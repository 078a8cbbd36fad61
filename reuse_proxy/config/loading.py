"""Settings out of flags, environment and file, with where each value came from.

What looks like a mistake across several settings is told here; a single value is
judged by its kind, when `Settings` is made.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from reuse_proxy.config.machine import too_many_files
from reuse_proxy.config.settings import Settings, kind_of
from reuse_proxy.config.shares import too_small
from reuse_proxy.config.sources import (
    DEFAULT,
    Given,
    close_match,
    from_environment,
    from_file,
    from_flags,
    unknown_variables,
)
from reuse_proxy.config.units import NotAllowedError
from reuse_proxy.errors import SettingsError


@dataclass(frozen=True)
class Effective:
    """One setting as it is in effect, in words that can be given back."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class Loaded:
    """The settings, where each came from, and what looks like a mistake."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...]

    def effective(self) -> Iterator[Effective]:
        """Print every setting in the order of their declaration."""
        for name, source in self.sources.items():
            value = kind_of(name).show(getattr(self.settings, name))
            yield Effective(name, value, source)


def load(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    config_file: Path | None = None,
) -> Loaded:
    """Build the settings: flag over environment over file over default."""
    _raise_all(unknown_variables(Settings, environ))
    given = (
        from_file(Settings, config_file, environ)
        | from_environment(Settings, environ)
        | from_flags(flags)
    )
    settings = _validated(given)
    sources = {
        name: given[name].source if name in given else DEFAULT
        for name in Settings.model_fields
    }
    _raise_all(_exposures(settings, sources))
    _raise_all(_clashes(settings))
    _raise_all(too_small(settings, sources))
    warnings = (
        *_never_reached(settings, sources),
        *too_many_files(
            settings.max_clients, settings.max_sockets, processes=settings.workers
        ),
    )
    return Loaded(settings, sources, warnings)


def _validated(given: Mapping[str, Given]) -> Settings:
    # Unknown names stay away from BaseSettings, which has parameters of its own.
    known = {k: v.value for k, v in given.items() if k in Settings.model_fields}
    problems = [_unknown(name, given[name]) for name in given if name not in known]
    try:
        settings = Settings.model_validate(known)
    except ValidationError as exc:
        for error in exc.errors(include_url=False):
            name = str(error["loc"][0])
            problems.append(_refused(name, given[name], error["ctx"]["error"]))
        raise SettingsError("\n".join(problems)) from None
    _raise_all(problems)
    return settings


def _raise_all(problems: Iterable[str]) -> None:
    if sentences := "\n".join(problems):
        raise SettingsError(sentences)


def _unknown(name: str, given: Given) -> str:
    hint = close_match(name.lower().replace("-", "_"), Settings.model_fields)
    return f"{name} (in {given.source}) is not a setting; {hint}"


def _refused(name: str, given: Given, error: NotAllowedError) -> str:
    refusal = given.refusal(name, error.problem, error.value)
    return f"{refusal}; {kind_of(name).allowed}."


def _exposures(settings: Settings, sources: Mapping[str, str]) -> Iterator[str]:
    for name, guard, addresses in (
        ("listen", "allow_clients", settings.listen),
        ("admin", "allow_admin", (settings.admin,)),
    ):
        for address in addresses:
            if not address.is_loopback and not getattr(settings, guard):
                yield (
                    f"{name} = {address} (from {sources[name]}) is not a loopback"
                    f" address; set {guard}, for example {guard} = 10.0.0.0/8, to the"
                    " networks that may connect."
                )


def _clashes(settings: Settings) -> Iterator[str]:
    if settings.admin in settings.listen and (
        settings.admin.path is not None or settings.admin.port
    ):
        yield (
            f"listen and admin are both {settings.admin}; give one of them another"
            " address."
        )
    parent = settings.parent_proxy
    for name, address in (
        *(("listen", address) for address in settings.listen),
        ("admin", settings.admin),
    ):
        if parent and (parent.host, parent.port) == (address.host, address.port):
            yield (
                f"{name} and parent_proxy are both {address}; no proxy is its own"
                " parent."
            )


def _never_reached(settings: Settings, sources: Mapping[str, str]) -> Iterator[str]:
    for part, whole in (
        ("max_per_origin", "max_sockets"),
        ("spool_per_response", "spool_total"),
    ):
        if sources[part] == DEFAULT:
            continue
        if getattr(settings, part) > getattr(settings, whole):
            yield (
                f"{part} = {kind_of(part).show(getattr(settings, part))}"
                f" (from {sources[part]}) is larger than {whole} ="
                f" {kind_of(whole).show(getattr(settings, whole))}"
                " and is never reached."
            )
