"""What every test run shares."""

from __future__ import annotations

import os

from hypothesis import settings

# A change is judged by the same examples each time; new ones are looked for by everybody's own runs, and by `make fuzz`.
settings.register_profile("ci", derandomize=True, database=None)
if os.environ.get("CI"):
    settings.load_profile("ci")
