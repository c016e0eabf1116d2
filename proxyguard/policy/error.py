"""The one error of a policy that parsed but cannot be compiled."""

from __future__ import annotations


class PolicyError(Exception):
    """The rules cannot be compiled, or a field that a package adds cannot be used; the message names rule, pattern or package."""
