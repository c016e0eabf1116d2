"""When what refused a client ends: the restriction that decided, or the announced limit."""

from __future__ import annotations

from proxyguard.core.decision import Decision, EndTime
from proxyguard.restrictions.active import ActiveRestrictions


def end_time(decision: Decision, restrictions: ActiveRestrictions, now: float, line_now: float) -> EndTime | None:
    """When the restriction that decided ends, or the announced limit that decided lets the client on; `now` is the wall's."""
    if decision.restriction:
        ends = restrictions.ends(decision.restriction)
        if ends is None:
            return None
        wait = max(0.0, ends - line_now)
        return EndTime(now + wait, wait)
    if decision.forwards or decision.quota is None or not decision.quota.name:
        return None
    wait = decision.quota.retry_after_seconds
    return EndTime(now + wait, wait)
