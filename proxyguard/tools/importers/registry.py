"""The kinds of files that rules can be made from: one row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from proxyguard.tools.importers.ai_robots import read_ai_robots
from proxyguard.tools.importers.anubis import read_anubis
from proxyguard.tools.importers.apache.reader import read_apache
from proxyguard.tools.importers.caddy.reader import read_caddy
from proxyguard.tools.importers.crowdsec import read_crowdsec
from proxyguard.tools.importers.draft import Draft
from proxyguard.tools.importers.fail2ban import read_fail2ban
from proxyguard.tools.importers.haproxy.reader import read_haproxy
from proxyguard.tools.importers.jails import read_jails
from proxyguard.tools.importers.nginx.reader import read_nginx
from proxyguard.tools.importers.robots import read_robots
from proxyguard.tools.importers.sources import Sources


class Importer(NamedTuple):
    """A kind of file: its name on the command line, what it is, and what makes a draft of it. `read` raises ImportFault."""

    kind: str
    summary: str
    read: Callable[[Sources, str], Draft]
    aliases: tuple[str, ...] = ()


IMPORTERS: Final = (
    Importer("robots", "robots.txt", read_robots),
    Importer("nginx", "nginx configurations: if, map, geo, limit_req, limit_conn, allow and deny", read_nginx, ("nginx-map",)),
    Importer("apache", ".htaccess and virtual hosts of Apache", read_apache, ("htaccess",)),
    Importer("haproxy", "HAProxy's acl, http-request and stick-table", read_haproxy),
    Importer("caddy", "a Caddyfile: matchers that are refused, and rate limits", read_caddy),
    Importer("ai-robots", "robots.json of the ai.robots.txt project", read_ai_robots),
    Importer("fail2ban", "output of fail2ban-client status JAIL or get JAIL banip; or one address a line", read_fail2ban),
    Importer("fail2ban-jails", "jail.local, with the filters that lie in filter.d beside it", read_jails),
    Importer("crowdsec", "scenarios of CrowdSec", read_crowdsec),
    Importer("anubis", "a policy file of Anubis", read_anubis),
)

BY_KIND: Final = {name: each for each in IMPORTERS for name in (each.kind, *each.aliases)}
"""By every name that the command line takes."""
