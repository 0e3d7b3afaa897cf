# The gateway as an image: no shell or compiler is needed to run it, and nothing but /data is written.
# The base is pinned by digest; a newer one is a change like any other.
FROM python:3.13-slim-trixie@sha256:ffb752e139c0a19692a43af8d8523b274222dd68eebad5d583b45c2201c6e30a AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
WORKDIR /build
COPY requirements/run.txt requirements/demo.txt requirements/
RUN ["python", "-m", "venv", "/opt/signalpost"]
RUN ["/opt/signalpost/bin/pip", "install", "--require-hashes", "--only-binary", ":all:", "--requirement", "requirements/run.txt"]
# demo.txt also pins the build backend, which stays in this stage.
RUN ["python", "-m", "pip", "install", "--require-hashes", "--only-binary", ":all:", "--requirement", "requirements/demo.txt"]
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN ["python", "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheels", "."]
RUN ["/opt/signalpost/bin/pip", "install", "--no-deps", "--no-index", "--find-links", "wheels", "signalpost"]
RUN ["install", "--directory", "--mode=0700", "--owner=10001", "--group=10001", "/build/data"]

FROM python:3.13-slim-trixie@sha256:ffb752e139c0a19692a43af8d8523b274222dd68eebad5d583b45c2201c6e30a
COPY --from=build /opt/signalpost /opt/signalpost
COPY --from=build --chown=10001:10001 --chmod=0700 /build/data /data
# Inside a container the console must listen on every address; which of them the host publishes is for compose.yaml.
ENV PATH=/opt/signalpost/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    SIGNALPOST_SERVER__DATA_DIR=/data \
    SIGNALPOST_SERVER__CONSOLE_HOST=0.0.0.0 \
    SIGNALPOST_LOG__FORMAT=json
WORKDIR /etc/signalpost
USER 10001:10001
VOLUME /data
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=1)"]
ENTRYPOINT ["signalpost"]
CMD ["serve"]
