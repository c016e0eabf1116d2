"""The reference is true: its examples load and their tests hold, and nothing that can be written is left out."""

import re
from pathlib import Path

import pytest

from proxyguard.core.problems import format_report
from proxyguard.limits.limit import KeyKind, Missing, Window
from proxyguard.policy.actions import ban, reject, tarpit
from proxyguard.policy.actions.registry import ACTIONS
from proxyguard.policy.fields.field_type import MATCHERS
from proxyguard.policy.fields.registry import field_types
from proxyguard.policy.load import load_policy
from proxyguard.policy.matchers import Encoding
from proxyguard.policy.parse.classes import ACCOUNT, CLASS
from proxyguard.policy.parse.counts import COUNT_BY, COUNT_WORDS
from proxyguard.policy.parse.file import FILE
from proxyguard.policy.parse.limits import LIMIT, PERIODS
from proxyguard.policy.parse.overrides import OVERRIDE
from proxyguard.policy.parse.restrictions import ALARM, RESTRICTION, SHED
from proxyguard.policy.parse.rules import RULE
from proxyguard.policy.parse.signed import DIGESTS, SIGNED
from proxyguard.policy.parse.tests import EXPECT, REQUEST, RESPONSE, TEST
from proxyguard.policy.testing.runner import run_tests
from tests.paths import DOCS

RULES = DOCS / "reference/rules.md"
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def whole(block: str) -> str:
    """A fragment made into a rule file."""
    if block.startswith(("name:", "import:")):
        return block
    if block.startswith("when:"):
        block = "- name: fragment\n  action: reject\n" + "".join(f"  {line}\n" for line in block.splitlines())
    return "name: fragment\nrules:\n" + "".join(f"  {line}\n" for line in block.splitlines())


BLOCKS = [whole(block) for block in BLOCK.findall(RULES.read_text())]


def test_there_are_examples() -> None:
    assert len(BLOCKS) >= 10


@pytest.mark.parametrize("text", BLOCKS, ids=[f"{number}" for number in range(1, len(BLOCKS) + 1)])
def test_an_example_loads_and_its_tests_hold(text: str, tmp_path: Path) -> None:
    (tmp_path / "example.yaml").write_text(text)
    loaded = load_policy(tmp_path)
    assert format_report(loaded.problems) == ""
    assert loaded.policy is not None
    assert [str(failure.problem) for failure in run_tests(loaded.policy)] == []


TABLES = (
    FILE, RULE, reject.OPTIONS, tarpit.OPTIONS, ban.OPTIONS, LIMIT, COUNT_BY, RESPONSE, ACCOUNT, CLASS, RESTRICTION, ALARM, SHED,
    TEST, REQUEST, EXPECT, OVERRIDE,
)  # fmt: skip

WORDS = {
    *(key for table in TABLES for key in table.keys),
    *ACTIONS, *PERIODS, *Missing, *COUNT_WORDS, *Window, *SIGNED.keys, *DIGESTS, *Encoding, "any", "all", "present", "absent",
    *MATCHERS,
}  # fmt: skip


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_word_of_the_language_is_in_the_reference(word: str) -> None:
    assert re.search(rf"`{re.escape(word)}`", RULES.read_text())


@pytest.mark.parametrize("kind", [*field_types(), *KeyKind])
def test_every_field_and_every_part_of_a_key_is_in_the_reference(kind: str) -> None:
    assert re.search(rf"`{kind}(\.NAME)?`", RULES.read_text())


def test_the_statuses_are_those_of_the_reference() -> None:
    assert ", ".join(map(str, reject.STATUSES)) in RULES.read_text()
