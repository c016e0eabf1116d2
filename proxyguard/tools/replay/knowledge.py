"""What a log tells of a request, and what it does not: the difference between *absent* and *unknown*.

Knows nothing of formats; a format states its knowledge once. A field that is not here is never compared with anything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from proxyguard.limits.limit import CountKind, KeyKind, KeyPart, Limit
from proxyguard.policy.fields.registry import field_type
from proxyguard.policy.model import Absent, Field, FieldKind, Present, Test

Names = frozenset[str] | None
"""Names of headers or cookies; None: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """Fields whose value is known. Of headers in `presence` it is only known whether they were sent."""

    kinds: frozenset[str] = frozenset()
    headers: Names = frozenset()
    cookies: Names = frozenset()
    presence: frozenset[str] = frozenset()
    costs: frozenset[CountKind] = frozenset()
    """What of a response a limit can count."""

    def knows(self, test: Test) -> bool:
        """Whether the test can be answered from the log."""
        field = test.field
        if field.kind == FieldKind.HEADER and field.name in self.presence:
            return isinstance(test.matcher, Present | Absent)
        return self.knows_field(field)

    def knows_field(self, field: Field) -> bool:
        """Whether the log has the field's value, or says that there is none."""
        match field.kind:
            case FieldKind.HEADER:
                return _has(self.headers, field.name) and field.name not in self.presence
            case FieldKind.USER_AGENT:
                return _has(self.headers, "user-agent")
            case FieldKind.COOKIE:
                return _has(self.cookies, field.name)
            case _:
                sources = field_type(field.kind).derived_from
                derivable = sources is not None and all(self.knows_field(Field(kind)) for kind in sources)
                return derivable or field.kind in self.kinds

    def knows_key(self, part: KeyPart) -> bool:
        """Whether a limit can count by this part. No log has what identifies a session."""
        if part.kind in (KeyKind.NETWORK, KeyKind.SITE):
            return True
        return part.kind != KeyKind.ACCOUNT and self.knows_field(Field(part.kind, part.name))

    def lacks_of(self, limit: Limit) -> list[str]:
        """What a limit counts, or counts by, that the log does not have."""
        parts = limit.per if limit.count.of is None else (*limit.per, limit.count.of)
        lacking = [str(part) for part in parts if not self.knows_key(part)]
        if limit.count.after_response and limit.count.kind not in self.costs:
            lacking.append(_COSTS[limit.count.kind])
        return lacking

    def common(self, other: Knowledge) -> Knowledge:
        """What both know."""
        return Knowledge(
            kinds=self.kinds & other.kinds,
            headers=_common(self.headers, other.headers),
            cookies=_common(self.cookies, other.cookies),
            presence=self.presence | other.presence,
            costs=self.costs & other.costs,
        )

    def given(self, *kinds: str) -> Knowledge:
        """This, and fields whose value the operator gives for the whole log."""
        headers = self.headers
        if FieldKind.HOST in kinds and headers is not None:
            headers |= {"host"}
        return replace(self, kinds=self.kinds | frozenset(kinds), headers=headers)

    def described(self) -> tuple[str, str]:
        """What is known and what is not, in words."""
        known = ["client", "method", "path"]
        unknown: list[str] = []
        for kind in (FieldKind.QUERY, FieldKind.HTTP_VERSION, FieldKind.HOST, FieldKind.SCHEME):
            (known if kind in self.kinds else unknown).append(str(kind))
        for noun, names in (("header", self.headers), ("cookie", self.cookies)):
            if names is None:
                known.append(f"all {noun}s")
                continue
            known += ["user_agent" if name == "user-agent" else f"{noun}.{name}" for name in sorted(names)]
            unknown.append(f"other {noun}s" if names else f"{noun}s")
        if self.headers is not None and "user-agent" not in self.headers:
            unknown.insert(0, "user_agent")
        if self.presence:
            unknown.append(f"the values of {', '.join(sorted(self.presence))}")
        return ", ".join(known), ", ".join(unknown)


_COSTS: Final = {
    CountKind.BYTES: "bytes sent", CountKind.UPSTREAM_SECONDS: "the upstream's time", CountKind.STATUSES: "statuses",
    CountKind.CONCURRENT: "which requests were under way at once",
}  # fmt: skip


def _has(names: Names, name: str) -> bool:
    return names is None or name in names


def _common(one: Names, other: Names) -> Names:
    if one is None:
        return other
    return one if other is None else one & other
