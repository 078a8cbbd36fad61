"""PHP: the curl extension, streams and Guzzle, under FPM or not."""

from typing import Final

from reuse_proxy.ledger.advice.guide import Advice, Guide

_KEPT: Final = (
    "$curl = curl_init(); // once, not for each request",
    "foreach ($urls as $url) {",
    "    curl_reset($curl);",
    "    curl_setopt_array($curl, [CURLOPT_URL => $url, CURLOPT_RETURNTRANSFER => true]);",
    "    $body = curl_exec($curl);",
    "}",
)
_PERSISTENT: Final = (
    "Under FPM, keep them between requests with curl_share_init_persistent() (PHP 8.5);"
    " before that leave it to reuse-proxy."
)

PHP: Final = Guide(
    connection_per_request=Advice(
        "Each curl handle has a connection of its own, and file_get_contents() always"
        " closes its",
        (
            (
                "Keep one handle and curl_reset() it, or let handles share:"
                " curl_share_init() with CURL_LOCK_DATA_CONNECT."
            ),
            "Make one GuzzleHttp\\Client and pass it around.",
            _PERSISTENT,
        ),
        _KEPT,
    ),
    abandons_body=Advice(
        "A transfer that is stopped, or a stream that is closed before its end, takes its"
        " connection along",
        (
            (
                "Return the full length from CURLOPT_WRITEFUNCTION, and raise"
                " CURLOPT_TIMEOUT."
            ),
            "Read the body of Guzzle's 'stream' => true to its end, or leave that out.",
            "Set CURLOPT_NOBODY or CURLOPT_RANGE where the body is not wanted.",
        ),
    ),
    never_reads=Advice(
        "Streams are held that are neither read nor closed",
        (
            "Read streams of fopen(), and of Guzzle's 'stream' => true, and close them.",
            "Leave out 'stream' => true where the body fits into memory.",
        ),
        (
            "$body = stream_get_contents($stream);",
            "fclose($stream);",
        ),
    ),
    unpoolable_tunnels=Advice(
        "Each short tunnel for https:// costs a connection to its origin",
        (
            "Keep one curl handle, or one GuzzleHttp\\Client: it keeps its tunnel.",
            _PERSISTENT,
        ),
        _KEPT,
    ),
    keep_alive="file_get_contents() and fopen() always do, so use the curl extension",
    trust="curl.cainfo and openssl.cafile in php.ini",
)
