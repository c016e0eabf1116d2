"""Has schemathesis send to the API of a running instance what its OpenAPI document allows and what it forbids.

The instance has two workers and rules of its own. `events` never ends and `reload` takes a second each time: they are left out.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.end_to_end.processes import RULES, Proxyguard, proxyguard, sample_site
from tests.paths import ROOT

SCHEMATHESIS: Final = ROOT / ".run/schemathesis/bin/schemathesis"

TOKEN: Final = "a-token-of-the-fuzzer-0123456789"

SETTINGS: Final = f"workers: 2\nadmin_token: {TOKEN}\n"


def rules_of_its_own(folder: Path) -> Path:
    """A copy of the bundled rules: promotions and demotions write into their files."""
    made = folder / "rules"
    subprocess.run(["cp", "-r", str(RULES), str(made)], check=True)
    return made


def fuzz(guard: Proxyguard, arguments: list[str]) -> int:
    url = f"http://127.0.0.1:{guard.admin_port}"
    words = [
        SCHEMATHESIS, "run", f"{url}/api/v1/openapi.json", "--url", url, "--header", f"Authorization: Bearer {TOKEN}",
        "--exclude-path", "/api/v1/events", "--exclude-path", "/api/v1/reload", "--no-color", "--suppress-health-check", "all",
        *(arguments or ["--max-examples", "10"]),
    ]  # fmt: skip
    return subprocess.run([str(word) for word in words], check=False, cwd=guard.audit.parent).returncode


def main() -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            sample_site(folder) as site,
            proxyguard(folder / "guard", site, rules=rules_of_its_own(folder), settings=SETTINGS) as guard,
        ):
            code = fuzz(guard, sys.argv[1:])
            assert guard.ready(), guard.said()
            faults = [line for line in guard.said().splitlines() if "Traceback" in line or " ERROR " in line]
            assert not faults, guard.said()
            return code


if __name__ == "__main__":
    sys.exit(main())
