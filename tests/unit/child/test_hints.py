"""Likely reasons for a report of nothing."""

import shutil
import sys
from pathlib import Path

import pytest

from reuse_proxy.child.hints import Family, families_of, is_go, no_request
from tests.support.programs import need


def found(word):
    """Find any program whose name has no dash or dot before it."""
    return None if word.startswith(("-", ".")) else f"/nowhere/{word}"


def hints(*command, connections=0, https=False, **environ):
    """Return the sentences about a command."""
    return list(
        no_request(command, environ, connections=connections, https=https, which=found)
    )


@pytest.fixture
def program(tmp_path):
    """Make a file that can be run, with any content."""

    def make(content, name="program"):
        path = tmp_path / name
        path.write_bytes(content)
        path.chmod(0o755)
        return str(path)

    return make


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_is_the_likeliest_reason(name):
    """Its value is named; then comes what the program is."""
    first, second, third = hints("go", "run", "x.go", **{name: "localhost,.corp"})

    assert first.startswith("The command made no request through the proxy.")
    assert second.startswith(f"{name}=localhost,.corp:")
    assert third == Family.GO.value


@pytest.mark.parametrize(
    ("command", "family"),
    [
        (["go", "test", "./..."], Family.GO),
        (["/opt/bin/ruby3.2", "x.rb"], Family.RUBY),
        (["bundle", "exec", "rspec"], Family.RUBY),
        (["java", "-jar", "x.jar"], Family.JAVA),
        (["node", "x.js"], Family.NODE),
        (["env", "-i", "npx", "jest"], Family.NODE),
        (["timeout", "5", "python3.11", "x.py"], Family.PYTHON),
        (["pytest"], Family.PYTHON),
    ],
)
def test_a_runtime_is_known_by_name(command, family):
    """Also behind a word or two that only start it."""
    assert list(families_of(command, found)) == [family]
    assert hints(*command)[1:] == [family.value]


def test_what_is_not_known_gets_a_list():
    """Any of these may be inside."""
    sentences = hints("make", "test")

    assert len(sentences) == 3
    assert "trust_env=True" in sentences[1]
    assert "in the background" in sentences[2]


def test_connections_without_requests_have_other_reasons():
    """The variables were read, then."""
    (untrusted,) = hints("python", connections=3, https=True, NO_PROXY="a")
    (strange,) = hints("python", connections=1)

    assert "connected to the proxy 3 times" in untrusted
    assert "may not trust the CA of --https" in untrusted
    assert "connected to the proxy once" in strange
    assert "--https" not in strange


def test_a_go_program_is_known_by_its_mark(program):
    """Wherever the linker has put it."""
    go = program(b"\x7fELF" + bytes(100_000) + b"\xff Go buildinf:" + bytes(10))

    assert is_go(Path(go))
    assert list(families_of([go])) == [Family.GO]


def test_a_real_go_program_is_known():
    """The tool is one itself."""
    assert is_go(Path(need("go")).resolve())


@pytest.mark.parametrize("content", [b"", b"\x7fELF" + bytes(1000)])
def test_other_programs_are_not_gos(program, content):
    """Nor is an empty file."""
    other = program(content)

    assert not is_go(Path(other))
    assert list(families_of([other])) == []


def test_what_cannot_be_read_is_not_gos(tmp_path):
    """A folder, or nothing at all."""
    assert not is_go(tmp_path)
    assert not is_go(tmp_path / "none")


@pytest.mark.parametrize(
    ("line", "families"),
    [
        (b"#!/usr/bin/env python3\n", [Family.PYTHON]),
        (b"#!/usr/bin/ruby -w\n", [Family.RUBY]),
        (b"#!/bin/sh\n", []),
        (b"#!\n", []),
        (b"#!/usr/bin/env\n", []),
    ],
)
def test_a_script_is_what_runs_it(program, line, families):
    """As its first line says."""
    assert list(families_of([program(line)])) == families


def test_a_script_that_cannot_be_found_is_nothing():
    """What does not exist has not run either."""
    assert list(families_of(["no-such-program-anywhere"])) == []
    assert list(families_of(["x"], lambda _: "/nowhere/x")) == []


def test_programs_are_looked_for_in_path():
    """As they were when the command was started."""
    assert shutil.which(sys.executable)
    assert list(families_of([sys.executable])) == [Family.PYTHON]
