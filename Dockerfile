# Two stages: the first installs, the second has only what the program needs to run,
# laid out by deploy/docker/rootfs.py: no shell, no package manager, 95 MB.
# deploy/docker/README.md tells how to build and run it; deploy/docker/check_image.py
# builds and tries it without a Docker engine.
FROM python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ONLY_BINARY=:all:
WORKDIR /src
# Its `strip` runs here, and nothing of it is in the image: any version will do.
# hadolint ignore=DL3008
RUN apt-get update -qq \
 && apt-get install -qq --no-install-recommends binutils >/dev/null
# What is installed is in the lock files, with hashes; `make lock` renews them.
COPY deploy/requirements.lock deploy/build.lock deploy/
RUN python -m venv --without-pip /opt/reuse-proxy \
 && pip --python /opt/reuse-proxy install --quiet --require-hashes -r deploy/requirements.lock \
 && python -m venv --without-pip /opt/build \
 && pip --python /opt/build install --quiet --require-hashes -r deploy/build.lock
COPY pyproject.toml README.md LICENSE ./
COPY reuse_proxy reuse_proxy
RUN /opt/build/bin/python -m hatchling build -t wheel \
 && pip --python /opt/reuse-proxy install --quiet --no-deps --no-index dist/*.whl
COPY deploy/docker/rootfs.py ./
RUN python rootfs.py /opt/reuse-proxy /image && mkdir /state


FROM scratch

LABEL org.opencontainers.image.title="reuse-proxy" \
      org.opencontainers.image.description="A local forward proxy that enforces upstream connection reuse: PgBouncer for HTTP." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="0.1.0"

COPY --from=build /image /
# The home of the user, for volumes to begin with: a local CA would lie there.
COPY --from=build --chown=65532:65532 /state /var/lib/reuse-proxy

# A number, because Kubernetes' runAsNonRoot does not look names up.  The root may be
# read-only: `serve` writes no file.  Only `intercept` wants more, a tmpfs on /tmp and
# a volume on /var/lib/reuse-proxy; and `workers`, the tmpfs alone.
USER 65532:65532

# The defaults are a sidecar's: programs that share this container's network
# namespace (the containers of one pod, or `--network container:NAME`) reach the
# proxy on 127.0.0.1:4128, and nobody else can use it.
#
# A container with a network namespace of its own must listen beyond its loopback,
# and reuse-proxy refuses to do that without being told who may connect:
#
#   docker run --read-only -p 127.0.0.1:4128:4128 \
#     -e REUSE_PROXY_LISTEN=0.0.0.0:4128 \
#     -e REUSE_PROXY_ALLOW_CLIENTS=172.16.0.0/12 reuse-proxy
#
# Likewise REUSE_PROXY_ADMIN=0.0.0.0:4129 with REUSE_PROXY_ALLOW_ADMIN for a Prometheus
# in another container.  Docker kills 10 s after it asks to stop: shutdown_timeout is
# kept below that.
ENV PATH=/opt/reuse-proxy/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    REUSE_PROXY_LISTEN=127.0.0.1:4128 \
    REUSE_PROXY_ADMIN=127.0.0.1:4129 \
    REUSE_PROXY_SHUTDOWN_TIMEOUT=8s

EXPOSE 4128 4129
STOPSIGNAL SIGTERM
# It asks where REUSE_PROXY_ADMIN says, from loopback, and never by way of a proxy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["reuse-proxy", "health"]

ENTRYPOINT ["reuse-proxy"]
CMD ["serve"]
