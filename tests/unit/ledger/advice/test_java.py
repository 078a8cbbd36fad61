"""Advice for Java."""

import shutil
import subprocess

import pytest

from reuse_proxy.ledger.advice.java import JAVA

METHOD = """
import java.io.*;
import java.net.http.*;
import java.net.http.HttpResponse.BodyHandlers;

class Snippet {{
    void {name}(HttpRequest request, HttpResponse<InputStream> {response})
            throws Exception {{
{code}
    }}
}}
"""


@pytest.mark.skipif(shutil.which("javac") is None, reason="javac is not installed")
@pytest.mark.parametrize(
    ("advice", "response"),
    [(JAVA.connection_per_request, "before"), (JAVA.abandons_body, "response")],
)
def test_the_code_compiles(tmp_path, advice, response):
    """In a method that has a request, or a response."""
    source = tmp_path / "Snippet.java"
    code = "\n".join(advice.code)
    source.write_text(METHOD.format(name="run", response=response, code=code))

    done = subprocess.run(  # noqa: S603 - our own text
        ["javac", "-d", str(tmp_path), str(source)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_each_client_is_named_with_what_it_needs():
    """There are four in wide use."""
    shared = " ".join(JAVA.connection_per_request.steps)
    drained = " ".join(JAVA.abandons_body.steps)

    for word in ("HttpClient", "OkHttpClient", "PoolingHttpClientConnectionManager"):
        assert word in shared
    for word in ("getErrorStream()", "EntityUtils.consume", "OkHttp"):
        assert word in drained
    assert "disconnect()" in shared
