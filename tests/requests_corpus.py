"""Ten thousand recorded requests, the same on every machine: browsers, crawlers, scripts, scanners, floods and oddities.

For differential tests: whatever decides about requests must decide the same about these. `python -m tests.requests_corpus`
writes them as JSON lines, in the form that `proxyguard explain --batch` reads; `--count` and `--seed` choose others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Final, NamedTuple

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from proxyguard.policy.model import SampleRequest
from proxyguard.tools.lint.browsers import browsers

SEED: Final = 20_260_701
COUNT: Final = 10_000


class Recorded(NamedTuple):
    """One request, and when it came: seconds after the first."""

    seconds: float
    sketch: SampleRequest


PAGES: Final = (
    "/", "/profiles/{n}", "/posts/{n}", "/search?q=x{n}&page={n}", "/find?name={n}", "/tags/{n}/", "/feed.xml", "/feeds/all.xml",
    "/api/profiles/{n}", "/apifoo/{n}", "/static/app.js", "/images/{n}.webp", "/robots.txt", "/.well-known/security.txt",
    "/download/tool-{n}.tar.gz", "/ada/tool.git/info/refs?service=git-upload-pack", "/sitemap.xml", "/favicon.ico",
)  # fmt: skip
FORMS: Final = (
    "/signup", "/i/flow/signup", "/login", "/sessions", "/account/check?email=a{n}%40example.org", "/api/v1/users", "/forgot",
)  # fmt: skip
PROBES: Final = (
    "/.env", "/.git/config", "//.env", "/%2eenv", "/wp-login.php", "/index.php", "/wp-admin/setup.php", "/api/.env",
    "/.aws/credentials", "/backup.zip", "/?q=../../etc/passwd", "/a%00b", "/profiles/%41%42", "/x/../.env",
    "/" + "a" * 300, "/?" + "&".join(["x=1"] * 40),
)  # fmt: skip
LIBRARIES: Final = (
    "curl/8.5.0", "python-requests/2.32.3", "Scrapy/2.12.0 (+https://scrapy.org)", "Go-http-client/2.0", "Wget/1.21.3",
    "axios/1.7.2", "okhttp/4.12.0", "git/2.47.1", "feedparser/6.0.11", "Java/17.0.2", "libwww-perl/6.72", "node",
    "sqlmap/1.8.6#stable (https://sqlmap.org)", "Mozilla/5.00 (Nikto/2.5.0)", "xcurly/1", "CURL", "", " ", "-", "ünïcode/1",
)  # fmt: skip
MALFORMED: Final = (
    "Mozilla/5.0 (Windows NT 11.0; Win64; x64) Chrome/131.0.0.0 Chrome/131.0.0.0", "Mozilla/5.0 ({{os}})", "${jndi:ldap://x}",
    "Mozilla/5.0", "User-Agent: Mozilla/5.0", "Mozilla/5.0 (X11; Linux x86_64) Chrome/61.0.3163.98", "MSIE 6.0",
)  # fmt: skip


class _Source:
    """Draws requests of each kind."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        every = browsers()
        self.whole = [browser.headers for browser in every if browser.is_whole]
        self.agents = [browser.user_agent.decode() for browser in every if browser.user_agent and not browser.is_whole]
        self.crawlers = sorted({example for entry in CRAWLER_USER_AGENTS_DATA for example in entry["instances"]})

    def client(self) -> str:
        """Many addresses with few requests, a few with many, both families, some of them as networks with each other."""
        choose = self.random.random()
        if choose < 0.3:
            return f"198.51.100.{self.random.randrange(4)}"
        if choose < 0.4:
            return f"2001:db8:{self.random.randrange(3):x}:1::{self.random.randrange(1, 5):x}"
        if choose < 0.45:
            return f"::ffff:192.0.2.{self.random.randrange(3)}"
        return f"203.0.{self.random.randrange(113, 116)}.{self.random.randrange(256)}"

    def path(self, paths: tuple[str, ...]) -> str:
        return self.random.choice(paths).replace("{n}", str(self.random.randrange(50)))

    def browser(self) -> SampleRequest:
        headers = self.random.choice(self.whole)
        pairs = [("Host", "www.example.org"), *((name.decode(), value.decode()) for name, value in headers)]
        if self.random.random() < 0.3:
            pairs.append(("Cookie", f"session=s{self.random.randrange(9)}; theme=dark"))
        if self.random.random() < 0.15:
            del pairs[self.random.randrange(1, len(pairs))]
        version = self.random.choice(("1.1", "2", "2"))
        return self._sketch(self.path(PAGES), tuple(pairs), http_version=version)

    def stripped_browser(self) -> SampleRequest:
        pairs: list[tuple[str, str]] = [("Host", "www.example.org"), ("User-Agent", self.random.choice(self.agents))]
        for name, value in (("Accept", "*/*"), ("Accept-Language", "de"), ("Accept-Encoding", "gzip")):
            if self.random.random() < 0.5:
                pairs.append((name, value))
        scheme = self.random.choice(("http", "https"))
        return self._sketch(self.path(PAGES), tuple(pairs), scheme=scheme, http_version=self.random.choice(("1.0", "1.1")))

    def crawler(self) -> SampleRequest:
        return self._named(self.random.choice(self.crawlers), self.path(PAGES))

    def script(self) -> SampleRequest:
        return self._named(self.random.choice((*LIBRARIES, *MALFORMED)), self.path((*PAGES, *PROBES)))

    def nameless(self) -> SampleRequest:
        return self._sketch(self.path((*PAGES, *PROBES)), (("Host", "www.example.org"),))

    def form(self) -> SampleRequest:
        method = self.random.choice(("POST", "POST", "POST", "GET", "PUT"))
        return self._named(self.random.choice(self.agents), self.path(FORMS), method=method)

    def probe(self) -> SampleRequest:
        method = self.random.choice(("GET", "HEAD", "POST", "OPTIONS", "PROPFIND"))
        return self._named(self.random.choice((*self.agents, *LIBRARIES)), self.path(PROBES), method=method)

    def repeated(self) -> SampleRequest:
        """The same header several times, in odd cases."""
        agents = [("uSER-aGENT", self.random.choice(LIBRARIES)), ("User-Agent", self.random.choice(self.agents))]
        self.random.shuffle(agents)
        more = [("Accept", ""), ("ACCEPT", "text/html"), ("Cookie", "a=1"), ("cookie", "b=2; session=x")]
        return self._sketch(self.path(PAGES), (("Host", "www.example.org:8443"), *agents, *more))

    def _named(self, agent: str, path: str, method: str = "GET") -> SampleRequest:
        return self._sketch(path, (("Host", "www.example.org"), ("User-Agent", agent), ("Accept", "*/*")), method=method)

    def _sketch(
        self,
        path: str,
        headers: tuple[tuple[str, str], ...],
        method: str = "GET",
        scheme: str = "https",
        http_version: str = "1.1",
    ) -> SampleRequest:
        host = "www.example.org"
        return SampleRequest(self.client(), method, scheme, host, path, http_version, headers)


def corpus(count: int = COUNT, seed: int = SEED) -> list[Recorded]:
    """The requests, in order of time: quiet hours with bursts in them."""
    source = _Source(seed)
    kinds: tuple[tuple[Callable[[], SampleRequest], int], ...] = (
        (source.browser, 35), (source.stripped_browser, 12), (source.crawler, 15), (source.script, 12), (source.nameless, 2),
        (source.form, 12), (source.probe, 8), (source.repeated, 4),
    )  # fmt: skip
    makers, weights = zip(*kinds, strict=True)
    now = 0.0
    made: list[Recorded] = []
    while len(made) < count:
        [maker] = source.random.choices(makers, weights)
        sketch = maker()
        burst = source.random.randrange(5, 60) if source.random.random() < 0.01 else 1
        for _ in range(min(burst, count - len(made))):
            now += source.random.expovariate(40.0 if burst > 1 else 2.0)
            made.append(Recorded(round(now, 3), sketch))
    return made


TOLD: Final = ("client", "method", "scheme", "host", "path", "http_version", "headers")
"""What a recorded request tells of itself."""


def batch_lines(recorded: Iterable[Recorded]) -> Iterator[str]:
    """Each request as a line for `explain --batch`."""
    for each in recorded:
        fields = each.sketch._asdict() | {"headers": [list(pair) for pair in each.sketch.headers]}
        yield json.dumps({name: value for name, value in fields.items() if value != "" and name in TOLD}) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write recorded requests as JSON lines.")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    sys.stdout.writelines(batch_lines(corpus(arguments.count, arguments.seed)))


if __name__ == "__main__":
    main()
