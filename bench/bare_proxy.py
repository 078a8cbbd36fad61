"""The proxy without ledger, metrics and policy: `python bench/bare_proxy.py serve ...`.

For bench/features.py alone.  Runs the proxy of the working directory, with nothing in
the places where those features are called; what is no call of its own (an addition to
a counter, here and there) stays, and so does the call itself.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

# As `python -m` does it: the tree in which this is run, not an installed one.
sys.path.insert(0, str(Path.cwd()))


def _nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def _anything(*_: object, **__: object) -> bool:
    """Allow everything."""
    return True


def _nobody() -> Callable[..., object]:
    """Return what gives every client the same page, in which nothing is written."""
    visit = import_module("reuse_proxy.ledger.visit").Visit
    account = import_module("reuse_proxy.ledger.account").Account
    page = visit(account("nobody", product="", label="nobody"), None)

    def enter(*_: object, **__: object) -> object:
        return page

    return enter


def _strip() -> None:
    """Replace the features; one that has moved is an error, not a wrong number."""
    for feature, module, owner, name, replacement in (
        ("ledger", "downstream.callers", "Callers", "_enter", _nobody()),
        ("ledger", "downstream.callers", "Callers", "leave", _nothing),
        ("ledger", "ledger.visit", "Visit", "note", _nothing),
        ("metrics", "forward.exchange", "Exchange", "_count", _nothing),
        ("metrics", "upstream.stats", "Histogram", "observe", _nothing),
        ("policy", "downstream.access", "AccessList", "allows", _anything),
        ("policy", "upstream.policy", "DestinationPolicy", "violation", _nothing),
    ):
        place = getattr(import_module(f"reuse_proxy.{module}"), owner)
        if not callable(getattr(place, name, None)):
            sys.exit(f"{feature} is not where it was: {module}.{owner}.{name}")
        setattr(place, name, replacement)


if __name__ == "__main__":
    _strip()
    sys.exit(
        import_module("reuse_proxy.cli").main([*sys.argv[1:], "--no-client-processes"])
    )
