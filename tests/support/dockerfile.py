"""What a Dockerfile says, as far as tests want to know: instructions by stage."""

import json
import re
import shlex
from pathlib import Path

TOP = Path(__file__).parents[2]


class Stage:
    """The instructions from one FROM to the next."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.instructions: list[tuple[str, str]] = []

    def all(self, name: str) -> list[str]:
        """Return the arguments of each instruction of a name."""
        return [text for other, text in self.instructions if other == name]

    def last(self, name: str) -> str:
        """Return those of the one that counts."""
        return self.all(name)[-1]

    def command(self, name: str) -> list[str]:
        """Read the exec form of ENTRYPOINT, CMD or HEALTHCHECK."""
        text = self.last(name)
        command: list[str] = json.loads(text[text.index("[") :])
        return command

    def pairs(self, name: str) -> dict[str, str]:
        """Read what ENV or LABEL sets."""
        words = [word for text in self.all(name) for word in shlex.split(text)]
        return dict(word.split("=", 1) for word in words)


def stages() -> list[Stage]:
    """Read the project's Dockerfile."""
    text = (TOP / "Dockerfile").read_text("utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    found: list[Stage] = []
    for line in text.replace("\\\n", " ").splitlines():
        name, _, rest = line.strip().partition(" ")
        if name == "FROM":
            found.append(Stage(rest))
        elif name:
            found[-1].instructions.append((name, " ".join(rest.split())))
    return found


BUILD, IMAGE = stages()
