"""`make corpus`: how many of each kind the bundled rules stop, under each preset; written to docs/accuracy.md.

Usage: python -m tests.corpus PACKAGES [--show KIND]   (PACKAGES: the folder with the wheels of requirements/corpus.txt)
"""

from __future__ import annotations

import sys
from pathlib import Path

from proxyguard.core.preset import RulesPreset
from tests.corpus.kinds import Kind, Sample, kinds
from tests.corpus.verdicts import Verdicts
from tests.paths import ROOT

PAGE = ROOT / "docs/accuracy.md"
BEGIN, END = "<!-- corpus: begin -->", "<!-- corpus: end -->"


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    found = kinds(Path(sys.argv[1]))
    shown = sys.argv[3] if len(sys.argv) > 3 else ""
    verdicts = {preset: Verdicts(preset) for preset in RulesPreset}
    lines = ["| kind | requests | " + " | ".join(f"stopped, `{preset}`" for preset in RulesPreset) + " | wanted of `standard` |"]
    lines.append("|---|---:|" + "---:|" * len(RulesPreset) + "---|")
    failed = []
    for kind in found:
        counts = {preset: verdicts[preset].stopped(kind) for preset in RulesPreset}
        wanted = "0" if kind.wanted is None else f"at least {kind.wanted:.0%}"
        cells = " | ".join(_cell(len(counts[preset]), kind) for preset in RulesPreset)
        lines.append(f"| {kind.name} | {len(kind.samples):,} | {cells} | {wanted} |")
        stopped = len(counts[RulesPreset.STANDARD])
        if stopped if kind.wanted is None else stopped / len(kind.samples) < kind.wanted:
            failed.append(kind.name)
        if shown and shown in kind.name:
            _show(kind, set(counts[RulesPreset.STANDARD]), verdicts[RulesPreset.STANDARD])
    print("\n".join(lines))
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.partition(END)[2]}", "utf-8")
    if failed:
        sys.exit(f"not reached: {', '.join(failed)}")


def _show(kind: Kind, stopped: set[Sample], verdicts: Verdicts) -> None:
    """Whoever is not treated as wanted, and by which rule."""
    for sample in kind.samples:
        if (sample in stopped) is (kind.wanted is None):
            print(kind.name, sample.target.decode(), sample.user_agent.decode(), verdicts.decision(sample).rule, sep="\t")


def _cell(stopped: int, kind: Kind) -> str:
    share = stopped / len(kind.samples)
    return f"{stopped:,}" if kind.wanted is None else f"{share:.1%}"


if __name__ == "__main__":
    main()
