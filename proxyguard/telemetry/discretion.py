"""Applies the privacy settings: what of a request may be written or shown, and whom a pseudonym means.

One per process; called from its event loop only. Remembers the clients it has named, the last MAX_NAMED of them, so that an
operator can act on a pseudonym without ever seeing the address. Knows nothing of records or where they go.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.address import DEFAULT_PREFIXES, Address, Network, Prefixes
from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.path_family import path_family
from proxyguard.core.privacy import ClientNaming, PathDetail, Privacy, TextDetail
from proxyguard.core.pseudonym import Pseudonyms
from proxyguard.telemetry.places import ANY, LearnedPlaces
from proxyguard.telemetry.redaction import ADDRESS, PERSON, Redactor, unescaped

MAX_NAMED: Final = 20_000
"""Clients whose pseudonyms are remembered: about 4 MiB."""

MAX_TEXTS: Final = 1024
"""Redacted texts that are kept at hand: user agents and hosts come again and again. At most 2 MiB."""

MAX_PATH_KEPT: Final = 128
"""Bytes of a path whose redacted text is kept at hand: MAX_TEXTS of these are half a megabyte at most."""

MAX_TEXT: Final = 1024
"""Bytes of host and path that a record keeps, and characters of what redaction makes of them: a look-alike may stand for 18."""

MAX_USER_AGENT: Final = 256
"""Bytes of the user agent that a record keeps: those of browsers have about 120."""

MAX_METHOD: Final = 32
"""Bytes of a method that a record keeps; the longest that is registered has 17."""

LOOKED_AT: Final = 2
"""How much more than is kept is redacted: an address that is cut in two is none any more, and half of it would stay."""

MAX_AGENT: Final = LOOKED_AT * MAX_USER_AGENT

METHODS: Final = {
    method.encode(): method for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE")
}
"""Those that are written as they are, as text."""

INTERNAL: Final = tuple(
    Network.parse(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
"""Addresses that belong to hosts of the operator when they stand in Host (RFC 1918, 4193, 3927, loopback)."""


class Discretion:
    """`privacy` as the operator chose it; `secret` is the instance's, used unless the settings have a key for pseudonyms."""

    def __init__(self, privacy: Privacy, secret: bytes, prefixes: Prefixes = DEFAULT_PREFIXES) -> None:
        chosen = privacy.in_force()
        self.pseudonyms = Pseudonyms(secret_of(privacy, secret))
        self.names_clients = chosen.clients is ClientNaming.PSEUDONYM
        self._redactor = Redactor(chosen.people, chosen.patterns)
        self._shows_families = chosen.paths is PathDetail.FAMILY
        self._shows_paths = chosen.paths is PathDetail.WHOLE
        self.places = LearnedPlaces()
        self._learns = chosen.learn_names
        self._redacts = chosen.texts is TextDetail.REDACTED
        self._prefixes = prefixes
        v4, v6 = chosen.network_v4 or 0, chosen.network_v6 or 0
        shown = Prefixes(prefixes.client_v4, prefixes.client_v6, min(v4, prefixes.network_v4), min(v6, prefixes.network_v6))
        # The same object where they are the same: an address keeps its network for the prefixes that were asked for last.
        self._shown = shown if self.names_clients and shown != prefixes else prefixes
        self._shows_v4, self._shows_v6 = self._shown.network_v4 > 0, self._shown.network_v6 > 0
        self._meant: dict[str, str] = {}
        """Client keys by their pseudonyms, those that were named first at the front."""
        self._agents: dict[bytes, str] = {}
        self._hosts: dict[bytes, str] = {}
        self._path_texts: dict[bytes, str] = {}
        self._nameless: dict[bytes, str] = {}
        self._changes = 0

    def client(self, address: Address, wall: float) -> str:
        """What a client is called at a time (Unix seconds): its address, or a pseudonym."""
        return self.name(address.client_key(self._prefixes), wall) if self.names_clients else address.text

    def name(self, client_key: str, wall: float) -> str:
        """The pseudonym of a client key, which `find` then knows."""
        name = self.pseudonyms.name(client_key, wall)
        meant = self._meant
        if name not in meant:
            if len(meant) >= MAX_NAMED:
                del meant[next(iter(meant))]
            meant[name] = client_key
        return name

    def find(self, name: str) -> str | None:
        """The key of the client that a pseudonym of this process means; None when it has named nobody so, or too many since."""
        return self._meant.get(name)

    def forget(self, client_key: str) -> int:
        """Forget the pseudonyms of a client; how many there were."""
        names = [name for name, key in self._meant.items() if key == client_key]
        for name in names:
            del self._meant[name]
        self.pseudonyms.forget(client_key)
        return len(names)

    def port(self, address: Address) -> int | None:
        """With the time it tells people behind one address apart, so it goes where the address goes."""
        return None if self.names_clients else address.port

    def network(self, address: Address) -> str:
        """The network that is written beside a pseudonym, such as `192.0.2.0/24`; empty: none."""
        return address.network_key(self._shown) if (self._shows_v4 if address.is_v4 else self._shows_v6) else ""

    def network_name(self, address: Address) -> str:
        """What a network is called where there has to be a name: as `network`, or a mark."""
        return self.network(address) or "(any)"

    def path(self, path: bytes) -> str:
        """A decoded path without its query."""
        if self._shows_families:
            return self.family(plain_family(path))
        if self._shows_paths:
            return decoded(path[:MAX_TEXT])
        paths = self._path_texts
        text = paths.get(path)
        if text is None:
            text = self._redactor.path(decoded(path[: LOOKED_AT * MAX_TEXT]))[:MAX_TEXT]
            if len(path) <= MAX_PATH_KEPT:
                keep_at_hand(paths, MAX_TEXTS, path, text)
        return self._without_names(path, text) if self._learns else text

    def _without_names(self, path: bytes, text: str) -> str:
        """A redacted path without the names that were learned; said again until there is more to say."""
        changes, texts = self.places.changes, self._nameless
        if changes != self._changes or len(texts) >= MAX_TEXTS:
            texts.clear()
            self._changes = changes
        found = texts.get(path)
        if found is None:
            found = self.places.without_names(text, PERSON)
            if "%" in found or not found.isascii():  # names may be encoded more often than the path was
                plain = unescaped(found)
                nameless = self.places.without_names(plain, PERSON)
                found = found if nameless == plain else nameless
            if len(path) <= MAX_PATH_KEPT:
                texts[path] = found
        return found

    def learn(self, path: bytes, network: int) -> None:
        """Learn where names stand in paths, by a path that was let through. `network`: of the client."""
        if self._learns and not self._shows_paths:
            self.places.learn(path, network)

    def family(self, family: str) -> str:
        """The family of several paths."""
        if self._shows_paths:
            return family
        family = self._redactor.path(family).replace(PERSON, ANY)[:MAX_TEXT]
        return self.places.without_names(family, ANY) if self._learns else family

    def agent(self, value: bytes) -> str:
        """A User-Agent header."""
        if not self._redacts:
            return decoded(value[:MAX_USER_AGENT])
        cut = value if len(value) <= MAX_AGENT else value[:MAX_AGENT]  # what is not cut has been hashed already
        agents = self._agents
        text = agents.get(cut)
        if text is None:
            text = keep_at_hand(agents, MAX_TEXTS, cut, self._redactor.agent(decoded(cut))[:MAX_USER_AGENT])
        return text

    def host(self, value: bytes) -> str:
        """The name of a host. Internal addresses are the operator's own."""
        cut = value if len(value) <= MAX_TEXT else value[:MAX_TEXT]
        if not self._redacts:
            return decoded(cut)
        hosts = self._hosts
        text = hosts.get(cut)
        if text is None:
            text = keep_at_hand(hosts, MAX_TEXTS, cut, self._host(decoded(cut)))
        return text

    def method(self, value: bytes) -> str:
        """A method; one that is not registered may be any text."""
        registered = METHODS.get(value)
        return self.text(decoded(value[: LOOKED_AT * MAX_METHOD]))[:MAX_METHOD] if registered is None else registered

    def text(self, value: str) -> str:
        """Any other text that a client may have a part in."""
        return self._redactor.text(value) if self._redacts else value

    def _host(self, text: str) -> str:
        try:
            address = Address.parse(text.strip("[]"))
        except ValueError:
            return self._redactor.text(text)[:MAX_TEXT]
        return text if any(address.number in network for network in INTERNAL) else ADDRESS


def secret_of(privacy: Privacy, secret: bytes) -> bytes:
    """The secret of pseudonyms: the one that the operator keeps for them, or the instance's."""
    return privacy.key.encode() if privacy.key else secret


def plain_family(path: bytes) -> str:
    """The family of a decoded path; of one that is encoded once more, of what it stands for. Not to be shown as it is."""
    if path.find(b"%") >= 0 or not path.isascii():
        path = unescaped(decoded(path[: LOOKED_AT * MAX_TEXT])).encode("utf-8", "surrogatepass")
    return path_family(path)


def decoded(value: bytes) -> str:
    """Bytes that a client chose as text, undecodable ones escaped."""
    return value.decode("utf-8", "backslashreplace")
