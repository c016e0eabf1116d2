"""The one error of a policy that parsed but cannot be compiled."""

from __future__ import annotations


class PolicyError(Exception):
    """The rules cannot be compiled; the message names the rule or pattern. Whose fault: whoever edited the rules."""
