"""Programs of the shell: curl and Wget, mostly in a loop."""

from typing import Final

from reuse_proxy.ledger.advice.guide import Advice, Guide

_TUNNELS: Final = (
    "Each process opens a tunnel for https://, and a connection to its origin"
)
_PIPE: Final = "Do not pipe it into head or grep -q, which end it early."
_FILE: Final = "Write to a file, not into a pipe whose reader waits or has stopped."
_LEAVE: Final = (
    "Or leave it as it is: reuse-proxy shares the upstream ones among all processes."
)

_CURL_ONCE: Final = (
    'for url in $urls; do printf \'url = "%s"\\n\' "$url"; done |',
    "  curl -sSf --config -",
)
_CURL_ALL: Final = (
    "Give one curl all the URLs: as arguments, with --config -, or with --next where"
    " options differ."
)
CURL: Final = Guide(
    connection_per_request=Advice(
        "Each curl process opens a connection and takes it along",
        (
            _CURL_ALL,
            _LEAVE,
        ),
        _CURL_ONCE,
    ),
    abandons_body=Advice(
        "curl ends before the body does, at a limit or because its reader has gone",
        (
            _PIPE,
            "Use --head or --range where the body is not wanted.",
            "Raise --max-time and --max-filesize if they are what ends it.",
        ),
    ),
    never_reads=Advice(
        "curl waits for whoever reads its output",
        (_FILE, "Give it --max-time, so that it does not wait forever."),
        ('curl -sSf --max-time 60 -o body "$url"',),
    ),
    unpoolable_tunnels=Advice(_TUNNELS, (_CURL_ALL,), _CURL_ONCE),
    keep_alive='remove -H "Connection: close"',
    trust="CURL_CA_BUNDLE",
)

_WGET_ONCE: Final = ('printf "%s\\n" $urls | wget -nv -i -',)
_WGET_ALL: Final = "Give one wget all the URLs: as arguments, or with -i FILE."
WGET: Final = Guide(
    connection_per_request=Advice(
        "Each wget process opens a connection and takes it along",
        (_WGET_ALL, _LEAVE),
        _WGET_ONCE,
    ),
    abandons_body=Advice(
        "wget ends before the body does, mostly because its reader has gone",
        (
            _PIPE,
            "Use --spider, which sends HEAD, where the body is not wanted.",
            "Raise --timeout if it is what ends it.",
        ),
    ),
    never_reads=Advice(
        "wget waits for whoever reads its output",
        (_FILE,),
        ('wget -nv -O body "$url"',),
    ),
    unpoolable_tunnels=Advice(_TUNNELS, (_WGET_ALL,), _WGET_ONCE),
    keep_alive='remove --no-http-keep-alive, and --header "Connection: close"',
    trust="--ca-certificate",
)
