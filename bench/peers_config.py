"""The configurations of the origin and of the proxies that are compared.

Each stores nothing, logs no request, and keeps connections where it can.
"""

from pathlib import Path

# Up to its servers.  The paths it would otherwise look for where it was installed.
NGINX = """\
daemon off;
worker_processes 1;
pid "{folder}/nginx.pid";
error_log "{folder}/nginx.log";
worker_rlimit_nofile 8192;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  tcp_nodelay on;
  keepalive_requests 100000000;
  keepalive_timeout 3600s;
  client_body_temp_path "{folder}";
  proxy_temp_path "{folder}";
  fastcgi_temp_path "{folder}";
  uwsgi_temp_path "{folder}";
  scgi_temp_path "{folder}";
"""

ORIGIN = (
    NGINX
    + """\
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /status {{ stub_status; }}
    location = /small {{ return 200 "twelve bytes"; }}
    location / {{ root "{folder}"; }}
  }}
}}
"""
)

NGINX_PROXY = (
    NGINX
    + """\
  client_max_body_size 0;
  upstream origin {{
    server 127.0.0.1:{origin};
    keepalive 512;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_max_temp_file_size 0;
      proxy_request_buffering off;
    }}
  }}
}}
"""
)

SQUID = """\
http_port 127.0.0.1:{port}
http_access allow all
cache deny all
cache_mem 0 MB
access_log none
cache_store_log none
cache_log {folder}/cache.log
pid_filename {folder}/squid.pid
coredump_dir {folder}
cache_effective_user proxy
pinger_enable off
server_persistent_connections on
client_persistent_connections on
visible_hostname localhost
shutdown_lifetime 0 seconds
"""

HAPROXY = """\
global
  nbthread 1
  maxconn 8192
  # Many idle clients are no reason to close connections to the origin.
  tune.pool-low-fd-ratio 80
  tune.pool-high-fd-ratio 90
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend clients
  bind 127.0.0.1:{port}
  default_backend origin
backend origin
  server origin 127.0.0.1:{origin}
"""

TINYPROXY = """\
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 1024
Allow 127.0.0.1
ConnectPort {origin}
DisableViaHeader Yes
LogFile "{folder}/tinyproxy.log"
LogLevel Critical
"""

PRIVOXY = """\
listen-address 127.0.0.1:{port}
confdir {folder}
logdir {folder}
keep-alive-timeout 60
default-server-timeout 60
connection-sharing 1
socket-timeout 60
max-client-connections 1024
listen-backlog 1024
tolerate-pipelining 1
"""


def written(path: Path, template: str, **values: object) -> str:
    """Write a configuration, and return where."""
    path.write_text(template.format(**values))
    return str(path)
