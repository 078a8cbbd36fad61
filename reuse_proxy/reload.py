"""Settings that are replaced while the process runs: all of them, or none.

Who reads them and who goes by them is handed in.  What cannot change while running is
named here, and refuses the whole: the file and the process never say different things.
"""

import asyncio
import logging
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from reuse_proxy.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from reuse_proxy.config.loading import Effective, Loaded

log = logging.getLogger(__name__)

# Listeners are open, processes run, and what looks up processes is begun or not.
_NOT_RELOADED: Final = "not reloaded, the settings before are in effect"
FIXED: Final = ("listen", "admin", "workers", "client_processes")


class Change(NamedTuple):
    """A setting that has another value than before."""

    name: str
    was: str
    now: str
    source: str

    def __str__(self) -> str:
        return f"{self.name} = {self.now} (was {self.was})"


class Reloads:
    """The settings in effect, and the way to others.

    Attributes:
        loaded: what is in effect.
        results: how many reloads were ``ok``, and how many ``failed``.
        last_ok: whether the last one was; true before the first.
        applied_at: when ``loaded`` came into effect, in seconds of the epoch.
    """

    def __init__(
        self,
        loaded: "Loaded",
        *,
        read: "Callable[[], Loaded]",
        apply: "Callable[[Loaded], Awaitable[None]]",
    ) -> None:
        self.loaded = loaded
        self._read = read
        self._apply = apply
        self._one_at_a_time = asyncio.Lock()
        self.results: Counter[str] = Counter(ok=0, failed=0)
        self.last_ok = True
        self.applied_at = _now()

    async def reload(self) -> list[Change]:
        """Read the settings again and go by them; return what has changed.

        Raises:
            SettingsError: they are wrong, or one of them cannot change; the settings
                before are in effect still.
        """
        async with self._one_at_a_time:
            try:
                loaded = await asyncio.to_thread(self._read)
                found = changes(self.loaded, loaded)
                refuse_fixed(found)
                await self._apply(loaded)
            except SettingsError as exc:
                self._note(ok=False)
                log.error("%s: %s", _NOT_RELOADED, exc)  # noqa: TRY400 - it says it all
                raise
            except Exception:
                self._note(ok=False)
                log.exception(_NOT_RELOADED)
                raise
            self.loaded, self.applied_at = loaded, _now()
            self._note(ok=True)
        log.info("reloaded: %s", ", ".join(map(str, found)) or "nothing has changed")
        for warning in loaded.warnings:
            log.warning("%s", warning)
        return found

    def _note(self, *, ok: bool) -> None:
        self.last_ok = ok
        self.results["ok" if ok else "failed"] += 1


def changes(old: "Loaded", new: "Loaded") -> list[Change]:
    """Compare settings by what they print as."""
    before: dict[str, Effective] = {row.name: row for row in old.effective()}
    return [
        Change(row.name, before[row.name].value, row.value, row.source)
        for row in new.effective()
        if getattr(new.settings, row.name) != getattr(old.settings, row.name)
    ]


def refuse_fixed(found: list[Change]) -> None:
    """Refuse changes that need another process.

    Raises:
        SettingsError: names each of them.
    """
    fixed = [change for change in found if change.name in FIXED]
    if fixed:
        raise SettingsError(
            "\n".join(
                f"{change} (from {change.source}) cannot change while running; restart,"
                " or take it back: nothing was applied."
                for change in fixed
            )
        )


def _now() -> float:
    return datetime.now(UTC).timestamp()
