"""Which guarded form a request reads or posts, in every spelling that its site knows."""

from __future__ import annotations

import pytest

from proxyguard.core.address import Address
from proxyguard.core.form import GuardedForm
from proxyguard.core.reading import PRESETS, STRICT, SiteReading
from proxyguard.core.request import Request
from proxyguard.policy.compile.forms import FormFinder

FORMS = (
    GuardedForm(name="sign-up", read=(b"/Signup", b"/join/*"), post=(b"/Signup",)),
    GuardedForm(name="log-in", read=(b"/*",), post=(b"/login", b"/api/*/session")),
)


def found(target: bytes, method: bytes = b"POST", reading: SiteReading = STRICT) -> tuple[str, bool] | None:
    request = Request(Address.parse("192.0.2.1"), method, b"https", b"a", target, ())
    request.read_as(reading)
    form = FormFinder(FORMS, reading).find(request)
    return None if form is None else (form[0].name, form[1])


@pytest.mark.parametrize(
    ("method", "target", "form"),
    [
        (b"POST", b"/Signup?a=1", ("sign-up", True)),
        (b"POST", b"//Sign%75p", ("sign-up", True)),
        (b"POST", b"/signup", None),
        (b"POST", b"/join/now", None),
        (b"GET", b"/join/now", ("sign-up", False)),
        (b"GET", b"/anything", ("log-in", False)),
        (b"PUT", b"/api/v1/session", ("log-in", True)),
        (b"HEAD", b"/Signup", None),
        (b"options", b"/Signup", None),
    ],
)
def test_the_first_form_whose_paths_match(method: bytes, target: bytes, form: tuple[str, bool] | None) -> None:
    assert found(target, method) == form


@pytest.mark.parametrize(
    ("preset", "target"),
    [
        ("express", b"/SIGNUP/"),
        ("iis", b"/signup"),
        ("tomcat", b"/Signup;a=1"),
        ("django", b"/Signup/"),
        ("rails", b"/Signup.json"),
    ],
)
def test_spellings_of_the_path_are_one_form(preset: str, target: bytes) -> None:
    assert found(target, reading=PRESETS[preset]) == ("sign-up", True)
    assert found(target) is None
