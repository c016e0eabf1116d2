# proxyguard's image. Build: `docker build -t proxyguard .`  Run: see compose.yaml.
# Debian slim, not Alpine: mitmproxy and google-re2 publish no wheels for musl.

# By name, as a digest cannot be looked up on every machine that builds; releases give one (.github/workflows/image.yml), and so can you:
# --build-arg BASE=python:3.13-slim@sha256:…
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
# The compiler stays in this stage. A base image whose Python is Debian's own lacks Python's headers.
RUN headers="$(python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" \
 && apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends gcc libc6-dev $([ -e "$headers" ] || echo python3-dev) >/dev/null \
 && rm -rf /var/lib/apt/lists/*
COPY requirements/build.txt requirements/runtime.txt requirements/
# Two environments: what builds the package stays here, what runs it is copied.
RUN python -m venv /build/tools \
 && /build/tools/bin/pip install --quiet --require-hashes --requirement requirements/build.txt \
 && python -m venv --without-pip /opt/proxyguard \
 && /build/tools/bin/pip --python /opt/proxyguard/bin/python install --quiet --require-hashes --only-binary :all: \
      --no-compile --requirement requirements/runtime.txt
COPY pyproject.toml hatch_build.py README.md LICENSE NOTICE ./
COPY licenses licenses
COPY proxyguard proxyguard
COPY docs/lints docs/lints
COPY rules rules
COPY packaging packaging
# The path of a request is compiled, in sight of the libraries that it will run with: their types are part of the translation.
RUN PROXYGUARD_COMPILE=1 PYTHONPATH="$(echo /opt/proxyguard/lib/python3*/site-packages)" \
      /build/tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . \
 && /build/tools/bin/pip --python /opt/proxyguard/bin/python install --quiet --no-deps --no-index --no-compile dist/*.whl \
 # Byte code is made here, for the file system may be read-only at run time; -O too, which is how the entry point runs.
 && /opt/proxyguard/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -o 0 -o 1 /opt/proxyguard/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="proxyguard" \
      org.opencontainers.image.description="A scraper firewall: a reverse proxy whose YAML rules reject or tarpit automated extraction." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 proxyguard \
 && useradd --system --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin proxyguard \
 # For what compose.yaml keeps: a volume that is mounted here for the first time takes over whose folder it is.
 && install -d -o proxyguard -g proxyguard -m 0700 /var/cache/proxyguard /var/lib/proxyguard /var/log/proxyguard
COPY --from=build /opt/proxyguard /opt/proxyguard
COPY LICENSE NOTICE /usr/share/doc/proxyguard/
COPY rules /etc/proxyguard/rules
ENV PATH=/opt/proxyguard/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    PROXYGUARD_RULES=/etc/proxyguard/rules
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s --retries=3 CMD ["proxyguard", "health"]
ENTRYPOINT []
CMD ["proxyguard", "run"]
