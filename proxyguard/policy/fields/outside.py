"""What no request carries: the time of day, whether its client is in a sample, how often it was refused. Each has a form of its
own in conditions, and none is a part of a key."""

from __future__ import annotations

from typing import Final

from proxyguard.policy.fields.field_type import ArisingValues, FieldType, OutsideValue
from proxyguard.policy.model import FieldKind

TIME_OF_DAY: Final = FieldType(
    kind=FieldKind.TIME_OF_DAY,
    description="The time by the clock of a time zone: `{from: 22:00, until: 06:00, time_zone: Europe/Berlin}`.",
    source=OutsideValue(),
    matchers=(),
    derived_from=(),
)
SAMPLE: Final = FieldType(
    kind=FieldKind.SAMPLE, description="A share of all clients, always the same ones: `10%`.", source=OutsideValue(), matchers=()
)
REFUSED: Final = FieldType(
    kind=FieldKind.REFUSED,
    description="How often the client was refused lately: `{at_least: 20, within: 10m}`.",
    source=ArisingValues(single=True),
    matchers=(),
    derived_from=(),
)
