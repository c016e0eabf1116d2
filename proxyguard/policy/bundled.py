"""The rules that come with proxyguard: where they are, and their names.

Nothing writes there: the next version replaces them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from proxyguard.core.preset import RulesPreset

BUNDLED_WORD: Final = "bundled"
"""Names them where a folder of rules is asked for, and in `import`. A folder that is called so is `./bundled`."""

BUNDLED_DIRECTORY: Final = Path(__file__).with_name(BUNDLED_WORD)
"""In a checkout a link to `rules/`, in a wheel a copy of it."""

KITS: Final = "kits"
APART: Final = ("presets", KITS)
"""Folders below it whose files are no rules of every policy: presets are chosen by the settings, kits are imported by name."""

_NAME: Final = re.compile(r"^name: (\S+)$", re.MULTILINE)


def bundled_names() -> tuple[str, ...]:
    """The rule files in their order, without `.yaml`."""
    return tuple(sorted(path.stem for path in BUNDLED_DIRECTORY.glob("*.yaml")))


def kit_names() -> tuple[str, ...]:
    """The kits for kinds of sites, which are imported by name alone: `kits/forge`."""
    return tuple(sorted(f"{KITS}/{path.stem}" for path in (BUNDLED_DIRECTORY / KITS).glob("*.yaml")))


def importable_names() -> tuple[str, ...]:
    """Everything that a file may import, in its order."""
    return (*bundled_names(), *kit_names())


def bundled_file(name: str) -> Path:
    return BUNDLED_DIRECTORY / f"{name}.yaml"


def preset_file(preset: RulesPreset) -> Path:
    """What of the bundled rules is different under a preset, as an `override:`. That of `standard` says what the files say."""
    return BUNDLED_DIRECTORY / "presets" / f"{preset}.yaml"


def is_apart(path: Path) -> bool:
    """Whether a folder is not read with the rules beside it: of the bundled rules, also where somebody copied all of them."""
    is_bundled_folder = path.parent.resolve() == BUNDLED_DIRECTORY.resolve()
    return path.name in APART and (is_bundled_folder or (path.parent / APART[0] / "standard.yaml").is_file())


def bundled_rule_sets() -> frozenset[str]:
    """What the bundled rule sets are called inside of their files."""
    return frozenset(_NAME.findall("".join(bundled_file(name).read_text("utf-8") for name in importable_names())))


def is_bundled(file: str) -> bool:
    """Whether a file is one that the next version replaces."""
    return Path(file).is_relative_to(BUNDLED_DIRECTORY)
