"""Who asks: the client's address, and what the site said of the account behind the session."""

from __future__ import annotations

from typing import Final

from proxyguard.core.request import Request, Values
from proxyguard.policy.fields.field_type import EXACT, AnyValues, FieldType, SingleValue
from proxyguard.policy.model import FieldKind


def _account(request: Request) -> Values:
    return () if request.account is None else (request.account,)


CLIENT: Final = FieldType(
    kind=FieldKind.CLIENT,
    description="The client's address: addresses, networks, `$list`.",
    source=SingleValue(lambda request: request.client.text.encode()),
    matchers=EXACT,
    address=lambda request: request.client.number,
    of_client=True,
    ignores_referer=True,
    derived_from=(),
)
ACCOUNT: Final = FieldType(
    kind=FieldKind.ACCOUNT,
    description="What the site said of the session's account; absent when it said nothing. Needs `account`.",
    source=AnyValues(_account),
)
