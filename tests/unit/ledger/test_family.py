"""Families: the User-Agent first, then the processes."""

import pytest

from reuse_proxy.ledger.family import Family, recognise

PRODUCTS = [
    ("Go-http-client", Family.GO),
    ("go-resty", Family.GO),
    ("python-requests", Family.REQUESTS),
    ("python-httpx", Family.HTTPX),
    ("aiohttp", Family.AIOHTTP),
    ("Python-urllib", Family.URLLIB),
    ("urllib3", Family.URLLIB3),
    ("python-urllib3", Family.URLLIB3),
    ("node", Family.NODE),
    ("undici", Family.NODE),
    ("axios", Family.NODE),
    ("node-fetch", Family.NODE),
    ("got", Family.NODE),
    ("Java", Family.JAVA),
    ("Java-http-client", Family.JAVA),
    ("Apache-HttpClient", Family.JAVA),
    ("okhttp", Family.JAVA),
    ("GuzzleHttp", Family.PHP),
    ("PHP", Family.PHP),
    ("Ruby", Family.RUBY),
    ("Faraday", Family.RUBY),
    ("libwww-perl", Family.PERL),
    ("RestSharp", Family.DOTNET),
    ("curl", Family.CURL),
    ("Wget", Family.WGET),
]

COMMANDS = [
    ("python3 leaky.py", Family.URLLIB),
    ("python3.11", Family.URLLIB),
    ("pypy3 -m leaky", Family.URLLIB),
    ("gunicorn", Family.URLLIB),
    ("node app.js", Family.NODE),
    ("nodejs", Family.NODE),
    ("java app.jar", Family.JAVA),
    ("php cron.php", Family.PHP),
    ("php8.2 cron.php", Family.PHP),
    ("php-fpm", Family.PHP),
    ("php-fpm8.2", Family.PHP),
    ("ruby3.1 x.rb", Family.RUBY),
    ("puma:", Family.RUBY),
    ("perl5.36 x.pl", Family.PERL),
    ("dotnet", Family.DOTNET),
    ("curl", Family.CURL),
    ("/usr/bin/curl", Family.CURL),
    ("node.exe", Family.NODE),
    ("wget", Family.WGET),
    ("leaky-go-program", Family.UNKNOWN),
    ("nodemon", Family.UNKNOWN),
    ("3", Family.UNKNOWN),
    ("", Family.UNKNOWN),
]


@pytest.mark.parametrize(("product", "family"), PRODUCTS)
def test_a_product_tells_the_family_however_it_is_spelled(product, family):
    """Capitals do not count, and the process is not asked."""
    for spelled in (product, product.lower(), product.upper()):
        assert recognise(spelled, ["some-wrapper"]) is family
        assert recognise(spelled, ["curl"]) is family


@pytest.mark.parametrize(("command", "family"), COMMANDS)
def test_without_a_product_a_process_tells_it(command, family):
    """An interpreter by its name, whatever version it has."""
    assert recognise("", [command]) is family


def test_a_product_that_nobody_knows_leaves_it_to_the_process():
    """Many programs name themselves instead of their library."""
    assert recognise("billing-cron", ["node cron.js"]) is Family.NODE
    assert recognise("billing-cron", ["billing-cron"]) is Family.UNKNOWN
    assert recognise("billing-cron", []) is Family.UNKNOWN


def test_python_without_a_product_is_http_client_and_with_one_may_be_any():
    """http.client alone sends no User-Agent by itself."""
    assert recognise("", ["python3 cron.py"]) is Family.URLLIB
    assert recognise("billing-cron", ["python3 cron.py"]) is Family.PYTHON


def test_the_first_process_that_is_known_decides():
    """What was seen besides, such as a shell, does not hide it."""
    assert recognise("", ["bash run.sh", "php cron.php", "curl"]) is Family.PHP
    assert recognise("", {"sh": 12, "ruby x.rb": 13}) is Family.RUBY
