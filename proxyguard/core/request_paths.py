"""The path of a target: as it was sent, as rules see it, and as the most lenient server reads it."""

from __future__ import annotations

from typing import Final

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.reading import LOOSE, LOOSE_FRONT, decoded_path

MAX_PATHS: Final = 512
"""Paths of which it is remembered how rules see them; then that begins anew. Clients choose them, and gain nothing by it."""

MAX_PATH_BYTES: Final = 128
"""Of a path that is remembered."""

_read_paths: Final[dict[bytes, bytes]] = {}
"""The paths that rules see, by those that were sent."""


def path_of(target: bytes) -> bytes:
    """The path of a target as it was sent."""
    query = target.find(b"?")  # find, not `in`: bytes.__contains__ first tries its argument as a number, and fails
    return target if query < 0 else target[:query]


def inspected_path(target: bytes) -> bytes:
    """The path that rules look at: without query or fragment, percent-decoded once, runs of slashes merged.

    That is the view origin servers match on (nginx's normalised URI). Dot segments stay: the front refuses them.
    """
    return read_path(path_of(target))


def read_path(sent: bytes) -> bytes:
    """As `inspected_path`, of a path."""
    found = _read_paths.get(sent)
    if found is None:
        found = decoded_path(sent)
        if len(sent) <= MAX_PATH_BYTES:
            keep_at_hand(_read_paths, MAX_PATHS, sent, found)
    return found


def read_loosely(target: bytes) -> tuple[bytes, ...]:
    """The path as the most lenient server reads it; both readings where one is a front controller's."""
    names = LOOSE.fold_names(LOOSE.decoded(target))
    less = LOOSE.without_ending(target)
    paths = [] if less is None else [less]
    paths.append(LOOSE.fold_pages(names))
    if names.find(b".php") >= 0:
        paths.append(LOOSE_FRONT.fold_pages(names))
    return tuple(dict.fromkeys(paths))
