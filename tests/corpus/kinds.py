"""The kinds of the corpus: who asks for what, and where the data come from.

Data in the tree are always there; those of packages are read from a folder that `make corpus` fills.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from tests.paths import ROOT

OWN: Final = ROOT / "tests/corpus/data"
BROWSERS: Final = ROOT / "proxyguard/tools/data/browsers"

AI: Final = "declared AI"
LIBRARIES: Final = "HTTP libraries"
SCANNERS: Final = "scanners"
BROWSER: Final = "browsers, phones, TVs"

PEOPLE: Final = re.compile(
    r"(smartphone|tablet|phablet|tv|desktop|console|car_browser|camera|feature_phone|portable|wearable|smart_)"
)
_NOT_A_BROWSER: Final = re.compile(r"^(?!Mozilla/|Opera/|.{0,40}(?:AppleWebKit|Gecko|Presto))")

ENCODINGS: Final = (b"Accept-Encoding", b"gzip, deflate, br")


class Sample(NamedTuple):
    """A request of the corpus."""

    user_agent: bytes
    method: bytes = b"GET"
    target: bytes = b"/profiles/1"
    fields: tuple[tuple[bytes, bytes], ...] = ((b"Accept", b"*/*"),)


class Kind(NamedTuple):
    """Samples of one kind; `wanted` is the least share stopped under `standard`, None: nobody."""

    name: str
    samples: tuple[Sample, ...]
    wanted: float | None = None


def kinds(packages: Path | None) -> list[Kind]:
    """All kinds, in the order of the table; without `packages` those of the tree alone."""
    found = [Kind(BROWSER, tuple(_browsers(packages))), Kind("the same through an antivirus", tuple(_stripped(packages)))]
    if packages is not None:
        found.append(Kind("podcast apps: page, episode, feed", tuple(_podcasts(packages))))
    found += [Kind(f"programs: {name}", tuple(samples)) for name, samples in sorted(_programs().items())]
    for tag, name in (("feed-reader", "feed readers"), ("social-preview", "link previews"), ("monitoring", "monitoring")):
        found.append(Kind(name, tuple(_tagged(tag))))
    found += [
        Kind("search engines", tuple(_tagged("search-engine"))),
        Kind(AI, tuple(_ai()), 0.97),
        Kind(LIBRARIES, tuple(map(_plain, _lines(OWN / "libraries.txt"))), 0.95),
        Kind(SCANNERS, tuple(map(_plain, _lines(OWN / "scanners.txt"))), 0.90),
    ]
    return found


def browser_fields(user_agent: str) -> tuple[tuple[bytes, bytes], ...]:
    """What a browser of that name sends over TLS besides its name."""
    fields = [(b"Accept", b"text/html,application/xhtml+xml,*/*;q=0.8"), (b"Accept-Language", b"en-GB,en;q=0.9"), ENCODINGS]
    chromium = re.search(r"\bChrome/(\d+)\.", user_agent)
    firefox = re.search(r"\bFirefox/(\d+)\.", user_agent)
    version = int(chromium[1]) if chromium else 0
    if version >= 80 or (firefox and int(firefox[1]) >= 90):
        fields += [(b"Sec-Fetch-Mode", b"navigate"), (b"Sec-Fetch-Site", b"none"), (b"Sec-Fetch-Dest", b"document")]
    if version >= 89:
        fields.append((b"sec-ch-ua", brands(version, "Android WebView" if "; wv)" in user_agent else "Google Chrome").encode()))
    return tuple(fields)


def brands(version: int, own: str) -> str:
    """Sec-CH-UA of a Chromium: its brands and the made-up one, in the order of its version."""
    signs = " (:-./);=?_"
    made_up = f"Not{signs[version % 11]}A{signs[(version + 1) % 11]}Brand", (8, 99, 24)[version % 3]
    places = list(permutations(range(3)))[version % 6]
    ordered = sorted(zip(places, (made_up, ("Chromium", version), (own, version)), strict=True))
    return ", ".join(f'"{name}";v="{number}"' for _, (name, number) in ordered)


def _browsers(packages: Path | None) -> Iterator[Sample]:
    names = list(_lines(BROWSERS / "user-agents.txt"))
    if packages is not None:
        names += [name for file, name in _fixtures(packages) if PEOPLE.match(file) and not _NOT_A_BROWSER.search(name)]
    for name in dict.fromkeys(names):
        yield Sample(name.encode(), fields=browser_fields(name))
    for line in _lines(BROWSERS / "header-sets.jsonl"):
        yield _from_set(json.loads(line)["headers"])


def _from_set(headers: Any) -> Sample:
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    name = next(value for field, value in pairs if field.lower() == "user-agent")
    rest = [(field.encode(), value.encode()) for field, value in pairs if field.lower() != "user-agent"]
    if not any(field.lower() == b"accept-language" for field, _ in rest):
        rest.append((b"Accept-Language", b"de"))
    return Sample(name.encode(), fields=tuple(rest))


def _stripped(packages: Path | None) -> Iterator[Sample]:
    """What some antivirus products leave: neither Sec-* nor Accept-Encoding."""
    for sample in _browsers(packages):
        kept = [pair for pair in sample.fields if not pair[0].lower().startswith((b"sec-", b"accept-encoding"))]
        yield sample._replace(fields=tuple(kept))


def _podcasts(packages: Path) -> Iterator[Sample]:
    [archive] = packages.glob("podcast_app_user_agents-*.whl")
    with zipfile.ZipFile(archive) as whole:
        apps = json.loads(whole.read("podcast_app_user_agents/data/src/user-agents.json"))
    names = [example for app in apps for example in app.get("examples", ()) if not app.get("bot")]
    names += [name for file, name in _fixtures(packages) if file.startswith("podcasting")]
    for name in dict.fromkeys(names):
        if not LIBRARY.search(name):
            for target in (b"/episodes/1", b"/episodes/1.mp3", b"/feed.xml"):
                yield Sample(name.encode(), target=target)


LIBRARY: Final = re.compile(
    r"^(curl|Wget|python-requests|Go-http-client|libwww-perl|Ruby|got|Symfony|Java|PHP|aria2|reqwest|undici|Deno|Down|HTTP-Tiny|resty|URL/Emacs|FDM|ESP32)\b"
)
"""Examples of these lists that are libraries and no app."""


def _programs() -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for line in _lines(OWN / "programs.tsv"):
        kind, method, target, name = line.split("\t")
        found.setdefault(kind, []).append(Sample(name.encode(), method.encode(), target.encode()))
    return found


def _tagged(tag: str) -> Iterator[Sample]:
    """Bots of a tag, without those that are refused as configured because they are something else too."""
    for entry in CRAWLER_USER_AGENTS_DATA:
        if tag in entry["tags"] and not {"ai-crawler", "http-library"} & set(entry["tags"]) and entry["pattern"] not in AI_TOO:
            yield from (_plain(example) for example in entry["instances"] if "Friendly_Crawler" not in example)


AI_TOO: Final = {
    "aiHitBot", "Amazonbot", "YouBot", "ImagesiftBot", "Timpibot", "PanguBot", "ICC-Crawler", "Linguee Bot",
    r"meta-externalagent\/",
    r"meta-externalfetcher\/", "meta-webindexer",
}  # fmt: skip


def _ai() -> Iterator[Sample]:
    names = list(_lines(ROOT / "scripts/bots/ai-robots.txt"))
    forms = ("{}/1.0", "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; {}/1.2; +https://bots.example/)")
    for name in names:
        for form in forms:
            yield _plain(form.format(name))
    for entry in CRAWLER_USER_AGENTS_DATA:
        if "ai-crawler" in entry["tags"]:
            yield from map(_plain, entry["instances"])


def _plain(name: str) -> Sample:
    return Sample(name.encode())


def _fixtures(packages: Path) -> Iterator[tuple[str, str]]:
    [archive] = packages.glob("device_detector-*.whl")
    with zipfile.ZipFile(archive) as whole:
        for name in sorted(whole.namelist()):
            if "/fixtures/upstream/" in name and name.endswith(".yml"):
                for entry in yaml.load(whole.read(name), Loader=yaml.CSafeLoader) or ():
                    if isinstance(entry, dict) and "user_agent" in entry:
                        yield name.rpartition("/")[2], entry["user_agent"]


def _lines(path: Path) -> Iterator[str]:
    for line in path.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line
