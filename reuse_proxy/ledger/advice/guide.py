"""The shape of the advice for one family of programs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Advice:
    """What is wrong, in half a sentence, and what to do about it.

    Steps are imperative sentences, code a few lines to copy; no line has a tab, which a
    terminal would not show.
    """

    summary: str
    steps: tuple[str, ...]
    code: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """Advice for each verdict that needs some.

    Attributes:
        keep_alive: where ``Connection: close`` is switched off, as the end of a sentence.
        trust: what the program is given the local CA with, in brackets.
    """

    connection_per_request: Advice
    abandons_body: Advice
    never_reads: Advice
    unpoolable_tunnels: Advice
    keep_alive: str
    trust: str
