"""Caps divided among workers, so that all of them together have what was set."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reuse_proxy.config.settings import Settings

CAPS: Final = (
    "max_sockets",
    "max_per_origin",
    "max_queue",
    "max_clients",
    "max_clients_per_address",
    "spool_total",
)


def share(whole: int, *, index: int, count: int) -> int:
    """Return what one of ``count`` workers gets; the first ones get the remainder."""
    return whole // count + (index < whole % count)


def shared(settings: "Settings", *, index: int) -> "Settings":
    """Return the settings that a worker goes by."""
    caps = {
        name: share(getattr(settings, name), index=index, count=settings.workers)
        for name in CAPS
    }
    return settings.model_copy(update=caps)


def too_small(settings: "Settings", sources: Mapping[str, str]) -> Iterator[str]:
    """Refuse caps of which some workers would get nothing.

    A cap that is 0 is nothing for everybody, and meant.
    """
    workers = settings.workers
    for name in CAPS:
        whole = getattr(settings, name)
        if 0 < whole < workers:
            yield (
                f"{name} = {whole} (from {sources[name]}) is too small to be divided"
                f" among workers = {workers} (from {sources['workers']}); give {name}"
                f" at least {workers}, or have fewer workers."
            )
