# Two stages: the first builds a virtual environment, the second has only that.
FROM python:3.11-slim AS build

WORKDIR /src
RUN python -m venv /opt/reuse-proxy
COPY pyproject.toml README.md LICENSE ./
COPY reuse_proxy ./reuse_proxy
RUN /opt/reuse-proxy/bin/pip install --no-cache-dir --disable-pip-version-check .


FROM python:3.11-slim

COPY --from=build /opt/reuse-proxy /opt/reuse-proxy
RUN useradd --system --no-create-home --shell /usr/sbin/nologin reuse-proxy
USER reuse-proxy

# The defaults are a sidecar's: programs that share this container's network
# namespace (the containers of one pod, or `--network container:NAME`) reach the
# proxy on 127.0.0.1:4128, and nobody else can use it.
#
# A container with a network namespace of its own must listen beyond its loopback,
# and reuse-proxy refuses to do that without being told who may connect:
#
#   docker run -p 127.0.0.1:4128:4128 \
#     -e REUSE_PROXY_LISTEN=0.0.0.0:4128 \
#     -e REUSE_PROXY_ALLOW_CLIENTS=172.16.0.0/12 reuse-proxy
#
# Likewise REUSE_PROXY_ADMIN=0.0.0.0:4129 with REUSE_PROXY_ALLOW_ADMIN for a Prometheus
# in another container.  Docker kills 10 s after it asks to stop: shutdown_timeout is
# kept below that.
ENV PATH=/opt/reuse-proxy/bin:$PATH \
    REUSE_PROXY_LISTEN=127.0.0.1:4128 \
    REUSE_PROXY_ADMIN=127.0.0.1:4129 \
    REUSE_PROXY_SHUTDOWN_TIMEOUT=8s

EXPOSE 4128 4129
STOPSIGNAL SIGTERM
# The empty ProxyHandler: the check must not go through an HTTP_PROXY of its own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:4129/healthz', timeout=2)"]

ENTRYPOINT ["reuse-proxy"]
CMD ["serve"]
