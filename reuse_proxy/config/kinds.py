"""The kinds of setting values: how each is read, bounded, explained and printed.

A kind sits in a field's `Annotated[...]`, where pydantic calls it. Whatever `show`
prints, `parse` reads. Names, defaults and sources of settings are config.py's.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import ClassVar, TypeAlias

from pydantic_core import CoreSchema, core_schema

from reuse_proxy.config.address import Address
from reuse_proxy.config.units import (
    DAY,
    GIB,
    SHARE_UNITS,
    SIZE_UNITS,
    TIME_UNITS,
    NotAllowedError,
    bounded,
    scaled,
    size_text,
    time_text,
    whole,
)

Network: TypeAlias = IPv4Network | IPv6Network

_TRUTH = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


class Kind(ABC):
    """How one kind of value is read and printed."""

    metavar: ClassVar[str]

    @abstractmethod
    def parse(self, value: object) -> object:
        """Read a value from a flag, the environment or TOML, or raise NotAllowedError."""

    @abstractmethod
    def show(self, value: object) -> str:
        """Print a value so that `parse` reads it back."""

    @property
    @abstractmethod
    def allowed(self) -> str:
        """Say what to give instead of a refused value."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: object
    ) -> CoreSchema:
        """Have pydantic validate with `parse` alone."""
        return core_schema.no_info_plain_validator_function(self.parse)


@dataclass(frozen=True)
class Count(Kind):
    """A whole number of things."""

    metavar = "NUMBER"
    noun: str
    low: int = 1
    high: int = 1_000_000

    def parse(self, value: object) -> int:
        """Read a whole number within the bounds."""
        return bounded(whole(value), self.low, self.high, value)

    def show(self, value: object) -> str:
        """Print the bare number."""
        return str(self.parse(value))

    @property
    def allowed(self) -> str:
        """Name the things and the bounds."""
        return f"give a number of {self.noun} from {self.low} to {self.high}"


@dataclass(frozen=True)
class Size(Kind):
    """A number of bytes."""

    metavar = "SIZE"
    low: int = 0
    high: int = 1024 * GIB

    def parse(self, value: object) -> int:
        """Read bytes, with or without a unit."""
        size = scaled(value, SIZE_UNITS, "is not a size")
        size = bounded(size, self.low, self.high, value)
        if size != int(size):
            raise NotAllowedError("is not a whole number of bytes", value)
        return int(size)

    def show(self, value: object) -> str:
        """Print with the largest unit that divides the size."""
        return size_text(self.parse(value))

    @property
    def allowed(self) -> str:
        """Name the units and the bounds."""
        bounds = f"from {size_text(self.low)} to {size_text(self.high)}"
        return f"give bytes, or a number with KiB, MiB or GiB, {bounds}"


@dataclass(frozen=True)
class Time(Kind):
    """A length of time in seconds; where `auto` is allowed, None stands for it."""

    metavar = "TIME"
    low: float = 0.001
    high: float = DAY
    auto: bool = False

    def parse(self, value: object) -> float | None:
        """Read seconds, with or without a unit."""
        if self.auto and value in (None, "auto"):
            return None
        seconds = scaled(value, TIME_UNITS, "is not a time")
        return float(bounded(seconds, self.low, self.high, value))

    def show(self, value: object) -> str:
        """Print in ms below a second, in s above."""
        seconds = self.parse(value)
        return "auto" if seconds is None else time_text(seconds)

    @property
    def allowed(self) -> str:
        """Name the units and the bounds."""
        bounds = f"from {time_text(self.low)} to {time_text(self.high)}"
        auto = ", or auto" if self.auto else ""
        return f"give seconds, or a number with ms, s or m, {bounds}{auto}"


@dataclass(frozen=True)
class Share(Kind):
    """A part of a whole, above 0 and up to 1."""

    metavar = "SHARE"
    allowed = "give a share from 1% to 100%, or from 0.01 to 1"

    def parse(self, value: object) -> float:
        """Read a percentage or a fraction."""
        share = scaled(value, SHARE_UNITS, "is not a share")
        return float(bounded(share, 0.01, 1, value))

    def show(self, value: object) -> str:
        """Print a percentage."""
        return f"{round(self.parse(value) * 100, 6):g}%"


@dataclass(frozen=True)
class Switch(Kind):
    """True or false."""

    metavar = ""
    allowed = "give true or false"

    def parse(self, value: object) -> bool:
        """Read a boolean, or a word for one."""
        if isinstance(value, bool):
            return value
        answer = _TRUTH.get(value.lower()) if isinstance(value, str) else None
        if answer is None:
            raise NotAllowedError("is neither true nor false", value)
        return answer

    def show(self, value: object) -> str:
        """Print true or false."""
        return str(self.parse(value)).lower()


@dataclass(frozen=True)
class OneAddress(Kind):
    """One listener address."""

    metavar = "ADDR"
    allowed = "give host:port, [v6]:port or unix:PATH"

    def parse(self, value: object) -> Address:
        """Read one address."""
        if isinstance(value, Address):
            return value
        if not isinstance(value, str):
            raise NotAllowedError("is not an address", value)
        try:
            return Address.parse(value.strip())
        except ValueError as exc:
            raise NotAllowedError(str(exc), value) from None

    def show(self, value: object) -> str:
        """Print the address."""
        return str(self.parse(value))


@dataclass(frozen=True)
class Addresses(Kind):
    """One or more listener addresses."""

    metavar = "ADDR"
    allowed = f"{OneAddress.allowed}, comma separated"

    def parse(self, value: object) -> tuple[Address, ...]:
        """Read every address of the list."""
        addresses = tuple(OneAddress().parse(item) for item in items(value))
        if not addresses:
            raise NotAllowedError("names no address", value)
        return addresses

    def show(self, value: object) -> str:
        """Print the list."""
        return ", ".join(map(str, self.parse(value)))


@dataclass(frozen=True)
class Networks(Kind):
    """IP networks; `empty` is the word that stands for an empty list."""

    metavar = "NETWORKS"
    empty: str = "none"

    def parse(self, value: object) -> tuple[Network, ...]:
        """Read every network of the list."""
        if value == self.empty:
            return ()
        return tuple(network(item) for item in items(value))

    def show(self, value: object) -> str:
        """Print the list, or the word for an empty one."""
        return ", ".join(map(str, self.parse(value))) or self.empty

    @property
    def allowed(self) -> str:
        """Give an example."""
        example = "10.0.0.0/8, fd00::/8"
        return f"give networks, comma separated ({example}), or {self.empty}"


@dataclass(frozen=True)
class Ports(Kind):
    """TCP port numbers, possibly none."""

    metavar = "PORTS"
    allowed = "give ports from 1 to 65535, comma separated, or none"

    def parse(self, value: object) -> tuple[int, ...]:
        """Read every port of the list."""
        ports = () if value == "none" else items(value)
        return tuple(bounded(whole(port), 1, 65535, port) for port in ports)

    def show(self, value: object) -> str:
        """Print the list, or none."""
        return ", ".join(map(str, self.parse(value))) or "none"


def items(value: object) -> Iterator[object]:
    """Take a list apart, however it was given: TOML's or comma separated."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from items(part)
    elif isinstance(value, str):
        yield from filter(None, map(str.strip, value.split(",")))
    else:
        yield value


def network(item: object) -> Network:
    """Read a network, or one address.

    Raises:
        NotAllowedError: it is neither, or not clear which one is meant.
    """
    if isinstance(item, IPv4Network | IPv6Network):
        return item
    if not isinstance(item, str):  # ip_network() would read a number as an address
        raise NotAllowedError("is not a network", item)
    try:
        found = ip_network(item, strict=False)
    except ValueError:
        raise NotAllowedError("is not a network", item) from None
    # 10.1.2.3/8 may be meant as one address or as 16 million: ask.
    if "/" in item and str(found.network_address) != str(
        ip_address(item.partition("/")[0])
    ):
        raise NotAllowedError(f"has host bits set (its network is {found})", item)
    return found
