"""Node: fetch and undici, the http module, axios and got."""

from typing import Final

from reuse_proxy.ledger.advice.guide import Advice, Guide

_SHARED: Final = (
    'import { fetch, ProxyAgent, setGlobalDispatcher } from "undici";',
    "",
    "const uri = process.env.HTTP_PROXY;",
    "setGlobalDispatcher(new ProxyAgent({ uri, proxyTunnel: false })); // once",
    "const response = await fetch(url);",
    "const body = await response.text();",
)
_READ: Final = (
    "if (!response.ok) {",
    "  await response.arrayBuffer(); // reads the rest, which keeps the connection",
    "  throw new Error(response.statusText);",
    "}",
)

NODE: Final = Guide(
    connection_per_request=Advice(
        "An agent made for each request, or one that does not keep alive, opens a"
        " connection each time",
        (
            "Make one ProxyAgent for undici's fetch in the whole program.",
            (
                "Give http one Agent with keepAlive: true: new ones do not, only the global"
                " one does, since Node 19."
            ),
            "Give axios that Agent as httpAgent, and got as agent.http.",
        ),
        _SHARED,
    ),
    abandons_body=Advice(
        "A body that is cancelled, destroyed or left to the garbage collector takes its"
        " connection along",
        (
            (
                "Read bodies that are not wanted: await response.arrayBuffer(), or"
                " body.dump() of undici.request()."
            ),
            "Call resume() on responses of http.request() whose data you ignore.",
            (
                "Keep response.body.cancel() for bodies too big to read: it closes the"
                " connection."
            ),
        ),
        _READ,
    ),
    never_reads=Advice(
        "Responses are held whose bodies are neither read nor cancelled",
        (
            "Read every body, or call await response.body?.cancel(), on errors as well.",
            "Call resume() on responses of http.request() whose data you ignore.",
            "Do not leave it to the garbage collector, which comes late.",
        ),
        _READ,
    ),
    unpoolable_tunnels=Advice(
        "Each short tunnel costs a connection to its origin",
        (
            "Make one ProxyAgent for the whole program: it keeps its tunnels.",
            (
                "Pass proxyTunnel: false to it (undici 6.22 or newer): before 8.7 it tunnels"
                " http:// as well."
            ),
        ),
        _SHARED,
    ),
    keep_alive="pass keepAlive: true to its http.Agent, and do not pass agent: false",
    trust="NODE_EXTRA_CA_CERTS",
)
