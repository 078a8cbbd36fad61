"""What kind of program a client is: by its User-Agent, else by its processes.

Pure tables.  A family is what one set of advice fits, so a language may have several.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Family(StrEnum):
    """A language or library whose programs are mended alike."""

    GO = "go"
    REQUESTS = "requests"
    HTTPX = "httpx"
    AIOHTTP = "aiohttp"
    URLLIB = "urllib"
    URLLIB3 = "urllib3"
    PYTHON = "python"
    NODE = "node"
    JAVA = "java"
    PHP = "php"
    RUBY = "ruby"
    PERL = "perl"
    DOTNET = "dotnet"
    CURL = "curl"
    WGET = "wget"
    UNKNOWN = "unknown"


# The product of a User-Agent, in small letters.
_PRODUCTS: Final = {
    "go-http-client": Family.GO,
    "go-resty": Family.GO,
    "python-requests": Family.REQUESTS,
    "python-httpx": Family.HTTPX,
    "aiohttp": Family.AIOHTTP,
    "python-urllib": Family.URLLIB,
    "python-urllib3": Family.URLLIB3,
    "urllib3": Family.URLLIB3,
    "python": Family.PYTHON,
    "node": Family.NODE,
    "undici": Family.NODE,
    "axios": Family.NODE,
    "node-fetch": Family.NODE,
    "node-superagent": Family.NODE,
    "got": Family.NODE,
    "needle": Family.NODE,
    "java": Family.JAVA,
    "java-http-client": Family.JAVA,
    "apache-httpclient": Family.JAVA,
    "apache-httpasyncclient": Family.JAVA,
    "okhttp": Family.JAVA,
    "ktor-client": Family.JAVA,
    "reactornetty": Family.JAVA,
    "guzzlehttp": Family.PHP,
    "php": Family.PHP,
    "php-soap": Family.PHP,
    "symfony": Family.PHP,
    "wordpress": Family.PHP,
    "ruby": Family.RUBY,
    "faraday": Family.RUBY,
    "http.rb": Family.RUBY,
    "rest-client": Family.RUBY,
    "libwww-perl": Family.PERL,
    "http-tiny": Family.PERL,
    "www-mechanize": Family.PERL,
    "restsharp": Family.DOTNET,
    "curl": Family.CURL,
    "wget": Family.WGET,
    "wget2": Family.WGET,
}

# The program's name without its version: python3.11, php-fpm8.2, ruby3.1.
_PROGRAMS: Final = {
    "python": Family.PYTHON,
    "pypy": Family.PYTHON,
    "gunicorn": Family.PYTHON,
    "uvicorn": Family.PYTHON,
    "celery": Family.PYTHON,
    "node": Family.NODE,
    "nodejs": Family.NODE,
    "java": Family.JAVA,
    "php": Family.PHP,
    "php-fpm": Family.PHP,
    "php-cgi": Family.PHP,
    "ruby": Family.RUBY,
    "puma": Family.RUBY,
    "sidekiq": Family.RUBY,
    "perl": Family.PERL,
    "dotnet": Family.DOTNET,
    "curl": Family.CURL,
    "wget": Family.WGET,
}
_VERSION: Final = re.compile(r"-?[\d.]*(\.exe)?$")


def recognise(product: str, commands: Iterable[str], *, silent: bool = False) -> Family:
    """Tell a client's family by the best that is known of it.

    Args:
        product: the product in its User-Agent, without version; empty if it sends none.
        commands: processes that were seen behind it, such as ``python3 cron.py``.
        silent: none of its requests was seen but CONNECT, which most send without one.
    """
    known = _PRODUCTS.get(product.lower())
    if known is not None:
        return known
    found = next(filter(None, map(_by_program, commands)), Family.UNKNOWN)
    # Of Python's clients only http.client sends no User-Agent by itself.
    if found is Family.PYTHON and not product and not silent:
        return Family.URLLIB
    return found


def _by_program(command: str) -> Family | None:
    program = command.partition(" ")[0].rpartition("/")[2].lower().rstrip(":")
    return _PROGRAMS.get(_VERSION.sub("", program))
