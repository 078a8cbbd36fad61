"""What the admin listener reads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reuse_proxy.downstream.stall import StallWatch
    from reuse_proxy.downstream.tunnel import Tunnels
    from reuse_proxy.lines import Lines
    from reuse_proxy.reload import Reloads
    from reuse_proxy.report.build import Reporter
    from reuse_proxy.upstream.session import UpstreamSession


@dataclass(frozen=True, slots=True)
class Sources:
    """The parts of a proxy that keep numbers; ``lines`` are those of the access log."""

    session: "UpstreamSession"
    stall_watch: "StallWatch"
    tunnels: "Tunnels"
    reporter: "Reporter"
    reloads: "Reloads"
    lines: "Lines | None" = None
