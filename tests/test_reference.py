"""The reference is true: its examples load and their tests hold, and nothing that can be written is left out."""

import re
from pathlib import Path

import pytest

from proxyguard.core.problems import format_report
from proxyguard.limits.limit import KeyKind, Missing, Window
from proxyguard.policy.fields.field_type import MATCHERS
from proxyguard.policy.fields.registry import field_types
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Encoding
from proxyguard.policy.parse.actions import ACTIONS, BAN_KEYS, REJECT_KEYS, STATUSES, TARPIT_KEYS
from proxyguard.policy.parse.classes import ACCOUNT_KEYS, CLASS_KEYS
from proxyguard.policy.parse.counts import COUNT_KEYS, COUNT_WORDS
from proxyguard.policy.parse.file import FILE_KEYS
from proxyguard.policy.parse.limits import LIMIT_KEYS, PERIODS
from proxyguard.policy.parse.restrictions import ALARM_KEYS, RESTRICTION_KEYS, SHED_KEYS
from proxyguard.policy.parse.rules import RULE_KEYS
from proxyguard.policy.parse.signed import DIGESTS, SIGNED_KEYS
from proxyguard.policy.parse.tests import EXPECT_KEYS, RESPONSE_KEYS, SKETCH_KEYS, TEST_KEYS
from proxyguard.policy.testing.runner import run_tests
from tests.paths import DOCS

RULES = DOCS / "reference/rules.md"
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def whole(block: str) -> str:
    """A fragment made into a rule file."""
    if block.startswith("name:"):
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


WORDS = {
    *FILE_KEYS, *RULE_KEYS, *ACTIONS, *REJECT_KEYS, *TARPIT_KEYS, *BAN_KEYS, *LIMIT_KEYS, *PERIODS, *Missing,
    *COUNT_WORDS, *COUNT_KEYS, *Window, *RESPONSE_KEYS,
    *ACCOUNT_KEYS, *CLASS_KEYS, *SIGNED_KEYS, *DIGESTS, *Encoding,
    *RESTRICTION_KEYS, *ALARM_KEYS, *SHED_KEYS,
    *TEST_KEYS, *SKETCH_KEYS, *EXPECT_KEYS, "any", "all", "present", "absent",
    *MATCHERS,
}  # fmt: skip


@pytest.mark.parametrize("word", sorted(WORDS))
def test_every_word_of_the_language_is_in_the_reference(word: str) -> None:
    assert re.search(rf"`{re.escape(word)}`", RULES.read_text())


@pytest.mark.parametrize("kind", [*field_types(), *KeyKind])
def test_every_field_and_every_part_of_a_key_is_in_the_reference(kind: str) -> None:
    assert re.search(rf"`{kind}(\.NAME)?`", RULES.read_text())


def test_the_statuses_are_those_of_the_reference() -> None:
    assert ", ".join(map(str, STATUSES)) in RULES.read_text()
