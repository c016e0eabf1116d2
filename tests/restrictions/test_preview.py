"""What of a restriction's condition can be tried on the last hour, and what is named because it cannot."""

from __future__ import annotations

import json

import pytest

from proxyguard.limits.limit import Limit, Window
from proxyguard.policy.given import read_given
from proxyguard.policy.model import Restriction
from proxyguard.restrictions.history import PathText, Tried
from proxyguard.restrictions.preview import Paths, allowance_from, allowances, trial_of


def restriction(when: object, rate: str = "60/hour") -> Restriction:
    plain = {"name": "slow", "why": "Busy.", "classes": {"anonymous": rate}, "until": "2090-01-01"}
    found, problems = read_given({**plain, "when": when} if when else plain)
    assert found is not None, problems
    return found


POSTS = (PathText(b"/posts/"),)


@pytest.mark.parametrize(
    ("when", "paths", "left_out"),
    [
        (None, None, ()),
        ({"path": {"prefix": "/posts/"}}, POSTS, ()),
        ({"path": {"prefix": ["/posts/", "/users/"]}}, (*POSTS, PathText(b"/users/")), ()),
        ({"path": "/search"}, (PathText(b"/search", is_prefix=False),), ()),
        ({"any": [{"path": {"prefix": "/posts/"}}, {"path": "/x"}]}, (*POSTS, PathText(b"/x", is_prefix=False)), ()),
        ({"path": {"prefix": "/posts/"}, "method": "GET"}, POSTS, ("method",)),
        ({"path": {"prefix": "/posts/"}, "header.x-a": "1", "cookie.b": "2"}, POSTS, ("cookie.b", "header.x-a")),
        ({"all": [{"path": {"prefix": "/posts/"}}, {"path": {"prefix": "/posts/1"}}]}, POSTS, ("path",)),
        ({"any": [{"path": {"prefix": "/posts/"}}, {"method": "GET"}]}, None, ("method", "path")),
        ({"path": {"not": {"prefix": "/api/"}}}, None, ("path",)),
        ({"path": {"regex": "^/a"}}, None, ("path",)),
        ({"client": "192.0.2.0/24"}, None, ("client",)),
    ],
)
def test_what_can_be_tried_and_what_is_left_out(when: object, paths: Paths, left_out: tuple[str, ...]) -> None:
    trial = trial_of(restriction(when))
    assert (trial.paths, trial.left_out) == (paths, left_out)


@pytest.mark.parametrize(("rate", "in_piece", "in_hour"), [("60/hour", 65.0, 120.0), ("5/day", 5.0 + 5 / 288, 5.0 + 5 / 24)])
def test_workers_hear_it_as_json(rate: str, in_piece: float, in_hour: float) -> None:
    trial = trial_of(restriction({"path": {"prefix": "/posts/"}}, rate))
    (plain,) = json.loads(json.dumps(trial.plain()))
    allowance = allowance_from(plain)
    assert (allowance.class_name, allowance.paths) == ("anonymous", POSTS)
    assert [allowance.in_piece, allowance.in_hour] == pytest.approx([in_piece, in_hour])


def test_a_log_and_a_calendar_let_no_more_through_than_their_amount() -> None:
    for window in (Window.SLIDING_LOG, Window.CALENDAR):
        assert allowances(Limit(60, 3600.0, 60, (), window=window)) == (60.0, 60.0)
        assert allowances(Limit(5, 60.0, 5, (), window=window)) == (25.0, 300.0)


def test_answers_of_workers_add_up_and_one_that_is_not_exact_makes_the_sum_so() -> None:
    trial = trial_of(restriction(None))
    one, other = {"0": {"a": 70, "b": 3}}, {"300": {"a": 60, "c": 3}}
    assert trial.added_up([[[one, True]], [[other, True]]]) == [Tried(3, 1)]
    assert trial.added_up([[[one, True]], [[other, False]]]) == [Tried(3, 1, exact=False)]
