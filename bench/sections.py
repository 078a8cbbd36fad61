"""The sections of the suite, in their order."""

from typing import TYPE_CHECKING, Protocol, cast

import bodies
import far
import features
import leaks
import overload
import scale
import small
import startup

if TYPE_CHECKING:
    from records import Record
    from setting import Bench


class Section(Protocol):
    """A module that measures; its docstring tells a reader of the report what."""

    TITLE: str
    __doc__: str | None

    def run(self, bench: "Bench") -> "list[Record]":
        """Measure."""


SECTIONS: dict[str, Section] = {
    module.__name__: cast("Section", module)
    for module in (small, bodies, leaks, far, scale, overload, startup, features)
}
