"""Which build this is: `compiled` when the path of a request was compiled ahead of time (hatch_build.py), else `interpreted`."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import Final


def _kind() -> str:
    # find_spec does not import: `proxyguard --version` loads none of what serves requests.
    spec = find_spec("proxyguard.policy.engine")
    return "compiled" if spec and spec.origin and spec.origin.endswith(tuple(EXTENSION_SUFFIXES)) else "interpreted"


BUILD_KIND: Final = _kind()
