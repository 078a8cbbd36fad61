"""The kind of settings that are one of a few words."""

from dataclasses import dataclass

from reuse_proxy.config.kinds import Kind
from reuse_proxy.config.units import NotAllowedError


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    metavar = "WORD"
    words: tuple[str, ...]

    def parse(self, value: object) -> str:
        """Read a word, in any case."""
        word = value.strip().lower() if isinstance(value, str) else ""
        if word not in self.words:
            raise NotAllowedError("is none of the choices", value)
        return word

    def show(self, value: object) -> str:
        """Print the word."""
        return self.parse(value)

    @property
    def allowed(self) -> str:
        """List the words."""
        return f"give {', '.join(self.words[:-1])} or {self.words[-1]}"
