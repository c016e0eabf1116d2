"""A quick part of `make corpus`, with the data of the tree alone."""

from __future__ import annotations

import pytest

from proxyguard.core.preset import RulesPreset
from tests.corpus.kinds import Kind, kinds
from tests.corpus.verdicts import Verdicts

KINDS = {kind.name: kind for kind in kinds(None)}
STANDARD = Verdicts(RulesPreset.STANDARD)


def test_there_are_all_kinds() -> None:
    assert len(KINDS) == 18
    assert all(len(kind.samples) >= 7 for kind in KINDS.values())


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.wanted is None], ids=lambda kind: kind.name)
def test_standard_stops_nobody_who_is_welcome(kind: Kind) -> None:
    assert [(sample.user_agent, sample.target) for sample in STANDARD.stopped(kind)] == []


@pytest.mark.long
@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.wanted is not None], ids=lambda kind: kind.name)
def test_standard_stops_nearly_all_who_say_what_they_are(kind: Kind) -> None:
    assert kind.wanted is not None
    assert len(STANDARD.stopped(kind)) >= kind.wanted * len(kind.samples)
