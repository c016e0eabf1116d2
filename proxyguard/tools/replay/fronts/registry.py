"""Every front that is taken off lines. Told by the first lines, and only when no format reads them as they are."""

from __future__ import annotations

from typing import Final

from proxyguard.tools.replay.fronts.containers import (
    COMPOSE,
    COMPOSE_TIMESTAMPED,
    KUBECTL,
    KUBECTL_TIMESTAMPED,
    TIMESTAMPED,
    make_cri,
    make_docker,
)
from proxyguard.tools.replay.fronts.front_type import FrontType, by_pattern
from proxyguard.tools.replay.fronts.syslog import RFC3164, RFC5424

FRONTS: Final = (
    FrontType("cri", "Kubernetes, containerd, CRI-O: /var/log/pods, /var/log/containers",
              "2026-11-23T09:15:07.123456789Z stdout F …", make_cri),
    FrontType("docker", "Docker: json-file", r'{"log":"…\n","stream":"stdout","time":"2026-11-23T09:15:07.1Z"}', make_docker),
    FrontType("kubectl", "`kubectl logs --prefix`", "[pod/web-7d4b9/nginx] …", by_pattern("kubectl logs --prefix", KUBECTL)),
    FrontType("compose", "`docker compose logs`, `docker service logs`", "web-1  | …",
              by_pattern("docker compose logs", COMPOSE)),
    FrontType("kubectl-timestamps", "`kubectl logs --prefix --timestamps`", "[pod/web-7d4b9/nginx] 2026-11-23T09:15:07.1Z …",
              by_pattern("kubectl logs --prefix --timestamps", KUBECTL_TIMESTAMPED)),
    FrontType("compose-timestamps", "`docker compose logs -t`", "web-1  | 2026-11-23T09:15:07.1Z …",
              by_pattern("docker compose logs -t", COMPOSE_TIMESTAMPED)),
    FrontType("syslog", "syslog (RFC 3164), rsyslog, journald", "Nov 23 09:15:07 web1 nginx[7]: …",
              by_pattern("syslog", RFC3164)),
    FrontType("syslog-5424", "syslog (RFC 5424)", "<190>1 2026-11-23T09:15:07Z web1 nginx 7 - - …",
              by_pattern("syslog (RFC 5424)", RFC5424)),
    FrontType("timestamps", "`docker logs -t`, `kubectl logs --timestamps`", "2026-11-23T09:15:07.1Z …",
              by_pattern("logs with timestamps", TIMESTAMPED)),
)  # fmt: skip
