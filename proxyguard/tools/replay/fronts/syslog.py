"""What syslog writes in front of a message: RFC 3164 and 5424, rsyslog's and systemd-journald's files.

Knows nothing of times and hosts there: the message has its own time and client.
"""

from __future__ import annotations

import re
from typing import Final

_TAG: Final = rb"[\w./@\x80-\xff-]++(?:\[\d*+\])?+: ?"
_ISO: Final = rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.,]*+(?:Z|[+-]\d\d:?\d\d)?+"

RFC3164: Final = re.compile(
    rb"(?:<\d{1,3}>)?(?:(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?|" + _ISO
    + rb") (?:[\w.:\x80-\xff-]++ )??" + _TAG + rb"|[\w./-]++\[\d++\]: )"
)  # fmt: skip
"""`<190>Nov 23 09:15:07 web1 nginx[7]: …`, with or without the priority; the same with an ISO time (rsyslog, journald).

Of some, only `nginx[7]: …` is left.
"""

_VALUE: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_ELEMENT: Final = rb'\[(?:[^"\]]++|' + _VALUE + rb")*+\]"

RFC5424: Final = re.compile(
    rb"(?:<\d{1,3}>)?1 (?:-|" + _ISO + rb") \S++ \S++ \S++ \S++ (?:-|(?:" + _ELEMENT + rb")++) ?(?:\xef\xbb\xbf)?", re.DOTALL
)
