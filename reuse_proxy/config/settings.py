"""The settings, declared once: flags, environment, file and help all come from here.

`Settings` is what the rest of the program reads; how it is built from those sources
is loading.py's, how a value is read and printed is kinds.py's.
"""

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from reuse_proxy.config.address import Address
from reuse_proxy.config.choices import Choice
from reuse_proxy.config.hostkinds import (
    ClientCertificates,
    Exemptions,
    Hosts,
    OnePath,
    ParentUrl,
    TlsRoutes,
)
from reuse_proxy.config.hosts import ClientCertificate, HostPattern, TlsRoute
from reuse_proxy.config.kinds import (
    Addresses,
    Count,
    Kind,
    Network,
    Networks,
    OneAddress,
    Ports,
    Share,
    Size,
    Switch,
    Time,
)
from reuse_proxy.config.machine import default_max_clients, default_max_sockets
from reuse_proxy.config.parent import Exemption, ParentProxy
from reuse_proxy.config.units import KIB, MIB

_Seconds: TypeAlias = Annotated[float, Time()]
_SecondsOrZero: TypeAlias = Annotated[float, Time(low=0)]

_LOCAL_NETWORKS = "169.254.0.0/16, fe80::/10"
_METADATA_SERVICES = "fd00:ec2::254/128, 100.100.100.200/32"
# After Squid's Safe_ports, turned round: services that misread HTTP as their own.
_OTHER_SERVICES = (
    *(7, 9, 13, 19, 21, 22, 23, 25, 53, 79, 110, 111, 119, 135, 139, 143, 389, 445),
    *(465, 514, 587, 636, 993, 995, 1433, 1521, 2049, 3306, 3389, 5432, 5900, 6379),
    11211,
)


class Settings(BaseSettings):
    """Every setting with its kind, default and description."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", enable_decoding=False, validate_default=True
    )

    listen: Annotated[tuple[Address, ...], Addresses()] = Field(
        (Address("127.0.0.1", 4128),),
        description="where the proxy listens; may be given several times",
    )
    admin: Annotated[Address, OneAddress()] = Field(
        Address("127.0.0.1", 4129),
        description="where metrics, health and the dashboard are served",
    )
    allow_clients: Annotated[tuple[Network, ...], Networks("loopback")] = Field(
        (), description="networks that may use the proxy"
    )
    allow_admin: Annotated[tuple[Network, ...], Networks("loopback")] = Field(
        (), description="networks that may read the admin listener"
    )
    workers: Annotated[int, Count("processes", high=64)] = Field(
        1,
        description="processes that share the listeners and divide the caps, each with"
        " pools of its own",
    )
    max_sockets: Annotated[int, Count("sockets")] = Field(
        default_factory=default_max_sockets,
        description="hard cap on sockets to all origins, idle ones included;"
        " if not set, 512 or a quarter of the open files limit",
    )
    max_per_origin: Annotated[int, Count("sockets")] = Field(
        32,
        description="hard cap on sockets to one origin; its tunnels count under max_sockets only",
    )
    dial_patience: Annotated[float | None, Time(low=0, high=60, auto=True)] = Field(
        None,
        description="how long to wait for a busy connection before opening another;"
        " 0 opens at once, auto measures",
    )
    max_queue: Annotated[int, Count("requests", low=0)] = Field(
        1024, description="requests that may wait for one origin"
    )
    queue_timeout: _Seconds = Field(
        10, description="how long a request may wait for a connection"
    )
    max_clients: Annotated[int, Count("connections")] = Field(
        default_factory=default_max_clients,
        description="client connections at a time;"
        " if not set, 4096 or five eighths of the open files limit",
    )
    max_clients_per_address: Annotated[int, Count("connections")] = Field(
        1024, description="client connections of one address that is not loopback"
    )
    idle_timeout: _Seconds = Field(
        30, description="how long a connection to an origin may be idle"
    )
    max_lifetime: _Seconds = Field(
        600, description="age at which a connection to an origin is replaced"
    )
    unsafe_reuse_max_idle: _SecondsOrZero = Field(
        4, description="idle time up to which POST and the like reuse a connection"
    )
    drain_max_bytes: Annotated[int, Size()] = Field(
        16 * MIB, description="unread response bytes to read so as to keep a connection"
    )
    drain_timeout: _SecondsOrZero = Field(
        2, description="how long to read them before the connection is given up"
    )
    spool_per_response: Annotated[int, Size(low=KIB)] = Field(
        MIB, description="bytes to hold for one slow client"
    )
    spool_total: Annotated[int, Size(low=KIB)] = Field(
        64 * MIB, description="bytes to hold for all slow clients"
    )
    client_stall_timeout: _Seconds = Field(
        30, description="how long a client may read nothing of its response"
    )
    connect_timeout: _Seconds = Field(
        5, description="how long a connection to an origin may take to open"
    )
    breaker_failures: Annotated[int, Count("dials", low=0)] = Field(
        5,
        description="dials of an origin that fail in a row before requests are refused"
        " at once; 0 never refuses",
    )
    breaker_time: _Seconds = Field(
        5, description="for how long they are, before the origin is dialled again"
    )
    response_timeout: _Seconds = Field(
        300, description="how long an origin may send nothing of a response"
    )
    client_head_timeout: _Seconds = Field(
        10, description="how long a client may take to send a request head"
    )
    client_idle_timeout: _Seconds = Field(
        75, description="how long a client connection may be idle"
    )
    client_body_timeout: _Seconds = Field(
        60, description="how long a client may send nothing of a request body"
    )
    max_request_body: Annotated[int, Size(low=0)] = Field(
        0, description="largest announced request body in bytes; 0 sets no limit"
    )
    shutdown_timeout: _SecondsOrZero = Field(
        25, description="how long requests may take to finish at shutdown"
    )
    dns_ttl: _SecondsOrZero = Field(
        15, description="how long a looked-up address is believed"
    )
    deny_destinations: Annotated[tuple[Network, ...], Networks()] = Field(
        Networks().parse(f"{_LOCAL_NETWORKS}, {_METADATA_SERVICES}"),
        description="networks that no request may reach",
    )
    deny_private: Annotated[bool, Switch()] = Field(
        default=False,
        description="deny private, loopback and other internal networks too",
    )
    deny_ports: Annotated[tuple[int, ...], Ports()] = Field(
        _OTHER_SERVICES, description="ports that no request may reach"
    )
    connect_ports: Annotated[tuple[int, ...], Ports()] = Field(
        (443, 8443), description="ports that a CONNECT tunnel may reach"
    )
    tunnel_idle_timeout: _Seconds = Field(
        300, description="how long a tunnel may carry no byte"
    )
    tls_timeout: _Seconds = Field(
        10,
        description="how long TCP and TLS together may take to open; and a client's TLS",
    )
    ca_file: Annotated[Path | None, OnePath()] = Field(
        None, description="PEM file of authorities to trust beside the system's"
    )
    client_cert: Annotated[tuple[ClientCertificate, ...], ClientCertificates()] = Field(
        (), description="certificates to show to hosts, HOST=CERT.pem[:KEY.pem]"
    )
    originate_tls: Annotated[tuple[TlsRoute, ...], TlsRoutes()] = Field(
        (),
        description="hosts whose http:// requests go out as TLS, HOST[:PORT][=TLSPORT]",
    )
    intercept: Annotated[tuple[HostPattern, ...], Hosts()] = Field(
        (), description="hosts whose CONNECT is opened with the local CA, HOST[:PORT]"
    )
    ca_dir: Annotated[Path, OnePath(needed=True)] = Field(
        Path("~/.local/share/reuse-proxy/ca"),
        description="folder of the local CA, made by reuse-proxy ca init",
    )
    access_log: Annotated[str, Choice(("off", "text", "json"))] = Field(
        "off",
        description="a line for each request on standard output: off, text or json",
    )
    access_log_paths: Annotated[bool, Switch()] = Field(
        default=False, description="have the request's path and query in those lines"
    )
    parent_proxy: Annotated[ParentProxy | None, ParentUrl()] = Field(
        None,
        description="proxy through which origins are reached,"
        " http://[USER:PASSWORD@]HOST[:PORT]",
    )
    no_parent: Annotated[tuple[Exemption, ...], Exemptions()] = Field(
        (),
        description="hosts and networks that are reached directly all the same;"
        " this machine's loopback always is",
    )
    metrics_max_origins: Annotated[int, Count("origins", low=0)] = Field(
        50, description="origins with their own metric labels; the rest are `other`"
    )

    metrics_max_clients: Annotated[int, Count("clients", low=0)] = Field(
        25, description="clients with their own metric labels; the rest are `other`"
    )
    ledger_max_clients: Annotated[int, Count("clients", high=100_000)] = Field(
        1000, description="clients with accounts of their own; the rest are `other`"
    )
    client_processes: Annotated[bool, Switch()] = Field(
        default=True,
        description="look up now and then which process of this machine a client is",
    )
    leak_min_count: Annotated[int, Count("requests")] = Field(
        20, description="requests, connections or tunnels that are enough for a verdict"
    )
    leak_needless: Annotated[float, Share()] = Field(
        0.4,
        description="share of requests that opened a connection which reuse would save,"
        " that is a leak",
    )
    leak_abandoned: Annotated[float, Share()] = Field(
        0.1, description="share of responses not read to their end that is a leak"
    )
    leak_stalls: Annotated[int, Count("resets")] = Field(
        3, description="resets of a client that does not read that are a leak"
    )
    leak_short_tunnels: Annotated[float, Share()] = Field(
        0.8, description="share of tunnels that end within 5 s that is a leak"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take arguments alone: `load` reads the other sources, and says which."""
        return (init_settings,)


def kind_of(name: str) -> Kind:
    """Find the kind of a setting."""
    metadata = Settings.model_fields[name].metadata
    return next(item for item in metadata if isinstance(item, Kind))


def default_of(name: str) -> str:
    """Print the default of a setting."""
    field = Settings.model_fields[name]
    return kind_of(name).show(field.get_default(call_default_factory=True))
