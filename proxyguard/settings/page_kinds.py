"""Kinds of values for the pages that refused people read: addresses that a page can show, and the codes of languages."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.problems import Fault, quoted
from proxyguard.core.yaml.kinds import TEXT_SCHEMA, Kind, plain
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_text
from proxyguard.http.languages import CODES

MAX_ADDRESS: Final = 32 * 1024
"""Characters of an address on a page: a small picture fits into a `data:` URL."""

_LINK: Final = re.compile(r"/[^/\\\s][^\s]*|/|https?://[^\s]+|mailto:[^\s]+")
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", re.ASCII)
_LOGO: Final = re.compile(r"/[^/\\\s][^\s]*|https?://[^\s]+|data:image/[^\s]+")


def _address(node: Node, subject: str, pattern: re.Pattern[str], hint: str) -> str:
    """Where a picture or a page is."""
    address = read_text(node, subject, MAX_ADDRESS)
    if not pattern.fullmatch(address):
        raise Fault(f"{subject} is no address that a page can show", hint)
    return address


def _language(node: Node, subject: str) -> str:
    code = read_text(node, subject, 20)
    if code not in CODES:
        raise Fault(f"{subject}: there are no texts in {quoted(code)}", ", ".join(CODES))
    return code


def _domain(node: Node, subject: str) -> str:
    domain = read_text(node, subject, 190).lower()
    if not _DOMAIN.fullmatch(domain):
        raise Fault(
            f"{subject}: {quoted(domain)} is not a domain", "one where you get the mail, or one that cannot be: people.invalid"
        )
    return domain


DOMAIN: Final = Kind(plain(_domain), "domain", TEXT_SCHEMA)
LANGUAGE: Final = Kind(plain(_language), "code", {"enum": list(CODES)})
LINK: Final = Kind(plain(_address, _LINK, "a path of the site such as /help, https://… or mailto:…"), "address", TEXT_SCHEMA)
LOGO: Final = Kind(plain(_address, _LOGO, "a path such as /logo.svg, https://… or data:image/…"), "address", TEXT_SCHEMA)
