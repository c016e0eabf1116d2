"""What a supervisor tells its workers at their start. Apart from both: a supervisor carries no traffic, and loads no proxy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from proxyguard.core.instance_secrets import Secrets
from proxyguard.core.settings import Settings


@dataclass(frozen=True, slots=True)
class Assignment:
    """What every worker of an instance starts with, in a file that only this user can read."""

    settings: Settings
    secrets: Secrets
    store: Path
    policy: Path
    """Its parts, written by `write_parts`."""
    clock: float
    """The anchor of the instance's line; see `limits.clock`."""
    standing: Path
    """The arguments of the commands of `worker_pool.STANDING`, by command, as JSON."""
