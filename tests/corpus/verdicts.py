"""What the bundled rules decide about a request of the corpus."""

from __future__ import annotations

from proxyguard.core.address import Address
from proxyguard.core.decision import Decision
from proxyguard.core.preset import RulesPreset
from proxyguard.core.request import Request
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.load import load_policy
from tests.corpus.kinds import AI, Kind, Sample
from tests.paths import BUNDLED_RULES

CLIENT = Address.parse("192.0.2.1")

IN_A_ROW = 40
"""What is limited counts as stopped when so many requests at once are not let through: assistants may read 30."""


class Verdicts:
    """The bundled rules under a preset."""

    def __init__(self, preset: RulesPreset) -> None:
        loaded = load_policy(BUNDLED_RULES, preset=preset)
        assert loaded.policy is not None, loaded.problems
        self._policy = compile_policy(loaded.policy, secret=b"corpus")
        self._store = MemoryStore(keys=10_000, bans=100)
        self._now = 0.0

    def stopped(self, kind: Kind) -> list[Sample]:
        """The samples that are not let through; of AI those too that are not after IN_A_ROW requests."""
        row = IN_A_ROW if kind.name == AI else 1
        return [sample for sample in kind.samples if not self.decision(sample, row).forwards]

    def decision(self, sample: Sample, in_a_row: int = 1) -> Decision:
        """The last decision about equal requests at one moment, a week after all others."""
        name = ((b"User-Agent", sample.user_agent),) if sample.user_agent else ()
        headers = ((b"Host", b"example.org"), *name, *sample.fields)
        return self.of(Request(CLIENT, sample.method, b"https", b"example.org", sample.target, headers), in_a_row)

    def of(self, request: Request, in_a_row: int = 1) -> Decision:
        """The same of a request."""
        self._now += 7 * 86_400.0
        for _ in range(in_a_row - 1):
            self._decided(request)
        return self._decided(request)

    def _decided(self, request: Request) -> Decision:
        found = match(self._policy, request, self._now)
        if found.decision is not None:
            return found.decision
        return decide(found, self._store.charge(found.charges, found.ban_keys, self._now)).decision
