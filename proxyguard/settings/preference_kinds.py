"""Kinds of values for preferences: ways to say them, and the address of terms."""

from __future__ import annotations

import re
from typing import Any, Final

from proxyguard.core.preferences import PreferenceFormat, Wish
from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.yaml.kinds import Kind, items_of, one_or_more, plain, word
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_choice, read_each, read_text

MAX_ADDRESS: Final = 500

WISHES: Final = ("preferences.search", "preferences.ai_input", "preferences.ai_train")
_SEARCH, _, _AI_TRAIN = WISHES

SAYS: Final = {
    PreferenceFormat.CONTENT_SIGNAL: WISHES,
    PreferenceFormat.CONTENT_USAGE: (_SEARCH, _AI_TRAIN),
    PreferenceFormat.RSL: WISHES,
    PreferenceFormat.TDM: (_AI_TRAIN,),
}
"""The settings that a format has words for."""

_ADDRESS: Final = re.compile(r"https?://[!-~]+", re.ASCII)


def _formats(node: Node, report: Report, subject: str, _around: Any) -> tuple[PreferenceFormat, ...]:
    names = tuple(PreferenceFormat)
    if not items_of(node):
        raise Fault(f"{subject} is an empty list", f"{', '.join(names)}; or leave it out")
    read = read_each(items_of(node), report, lambda item: PreferenceFormat(read_choice(item, subject, names)))
    return tuple(dict.fromkeys(read))


def _policy(node: Node, subject: str) -> str:
    text = read_text(node, subject, MAX_ADDRESS)
    if not _ADDRESS.fullmatch(text):
        raise Fault(f"{subject}: {quoted(text)} is no address", "https://www.example.org/tdm-terms")
    return text


WISH: Final = Kind(word(Wish).reader, word(Wish).takes, {"enum": [*map(str, Wish), True, False]})  # YAML 1.1 reads yes as true
FORMATS: Final = Kind(
    _formats,
    "list of content-signal, content-usage, rsl, tdm",
    one_or_more({"enum": [str(each) for each in PreferenceFormat]}, minItems=1),
)
POLICY: Final = Kind(plain(_policy), "address", {"type": "string", "pattern": "^https?://"})
