"""wrk for many origins: its clients ask one after the other, each for the next."""

from pathlib import Path

from load import Load
from origins import Site
from peers import LOOPBACK

# Appended to the script of Load, some of whose functions it replaces.
_LUA = """
local requests, at = {{}}, 0
function init(args)
  for i, port in ipairs({{{ports}}}) do
    local authority = "{host}:" .. port
    requests[i] = wrk.format(
      "GET", "http://" .. authority .. args[1], {{["Host"] = authority}})
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"""


class ManyOrigins(Load):
    """Loads a proxy with requests for the first so many ports of a site, in turn."""

    def __init__(self, folder: Path, site: Site, count: int) -> None:
        super().__init__(folder, site.origin)
        ports = ", ".join(map(str, site.http_ports[:count]))
        with self._script.open("a") as script:
            script.write(_LUA.format(ports=ports, host=LOOPBACK))
