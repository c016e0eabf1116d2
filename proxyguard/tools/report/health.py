"""How the upstream, the store and the instance are: what `status` says, and the faults in the audit log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from proxyguard.core.decision import FAILURE_RULE, STORE_RULE
from proxyguard.core.units import counted
from proxyguard.tools.report.figures import Health
from proxyguard.tools.report.sources import ReportSources


def health_of(sources: ReportSources) -> Health:
    """Whatever is known; `ready` is null without an instance."""
    audit = sources.audit
    faults = dict(audit.faults.most_common(10)) if audit is not None else {}
    refused = {name: counts.refused for name, counts in audit.rules.items()} if audit is not None else {}
    troubles = [
        f"at least {counted(count, 'forwarded request')} ended with {fault}"
        for fault, count in faults.items()
        if fault.startswith("upstream")
    ]
    troubles += [f"{counted(refused[rule], 'refusal')} by {rule}" for rule in (STORE_RULE, FAILURE_RULE) if refused.get(rule)]
    if sources.instance is None:
        return Health("the audit log" if audit is not None else "nothing", None, "", troubles, [], faults)
    status = sources.instance.status
    upstreams = [{str(key): str(value) for key, value in each.items()} for each in status.get("upstreams") or []]
    source = "the running instance" + (" and the audit log" if audit is not None else "")
    return Health(source, status.get("ready"), str(status.get("mode", "")), [*_of_status(status), *troubles], upstreams, faults)


def _of_status(status: dict[str, Any]) -> Iterable[str]:
    if status.get("ready") is False:
        yield "the instance is not ready to serve"
    if status.get("shadow"):
        yield "nothing acts: the shadow switch is on"
    if status.get("mode") not in ("enforce", None):
        yield f"the mode of the instance is {status['mode']}: nothing is refused"
    for each in status.get("upstreams") or []:
        if each.get("state", "up") != "up":
            yield f"upstream {each.get('address') or each.get('upstream')} is {each['state']}"
    last_minute = status.get("upstream_errors_last_minute")
    if last_minute:
        yield f"{counted(last_minute, 'fault')} of the upstream in the last minute"
    if (status.get("store") or {}).get("up") is False:
        yield "the store does not answer"
    yield from (f"a certificate {text}" for text in status.get("certificates") or [] if text.startswith("ENDED"))
    audit = status.get("audit") or {}
    if audit.get("trouble"):
        yield f"the audit log is not written: {audit['trouble']}; {counted(audit['waiting'], 'record')} wait"
    if audit.get("lost"):
        yield f"{counted(audit['lost'], 'record')} of the audit log {'is' if audit['lost'] == 1 else 'are'} lost"
    if status.get("restarts"):
        yield f"{counted(status['restarts'], 'worker')} died since the start: what they had seen is missing from rates and lists"
    errors = {name: count for name, count in (status.get("internal_errors") or {}).items() if count}
    if errors:
        yield "faults of ours: " + ", ".join(f"{name} {count}" for name, count in errors.items())
    result = str((status.get("reload") or {}).get("result", ""))
    if result not in ("", "applied", "loaded at start"):
        yield f"the last reload of the rules: {result}"
