"""The points of the bundled rules are those that the data give."""

from __future__ import annotations

import pytest

from tests.corpus import signs
from tests.corpus.fit import LINE, MOST_OF_PEOPLE, fit, most_points, score, upper_bound
from tests.corpus.weights import BEGIN, BY_HAND, END, EVASION, PAGE, fitted, table, written


@pytest.mark.long
def test_the_rules_have_the_points_that_the_data_give() -> None:
    assert signs.points() == fitted().points


@pytest.mark.long
def test_the_page_shows_them() -> None:
    assert PAGE.read_text("utf-8").partition(BEGIN)[2].partition(END)[0].strip() == table(fitted()).strip()


def test_every_sign_has_its_evasion() -> None:
    assert set(EVASION) == {rule.name for rule in signs.rules()}
    assert set(BY_HAND) < set(EVASION)


def test_no_person_of_either_half_is_over_the_line() -> None:
    points = signs.points()
    people = [*signs.browsers(), *signs.behind_proxies()]
    assert len(people) > 2500
    assert [each for each in people if score(each.signs, points) >= LINE] == []


def test_what_people_show_stays_a_step_below_while_fitting() -> None:
    people = [frozenset("ab"), frozenset("c")]
    found = fit({"a": 60, "b": 60, "c": 90}, {}, people, [[frozenset("ab"), frozenset("abc")], [frozenset("c")]])
    assert found["a"] + found["b"] <= MOST_OF_PEOPLE
    assert found["c"] <= MOST_OF_PEOPLE


def test_a_sign_of_no_scraper_stays_at_the_least() -> None:
    assert fit({"a": 60, "b": 60}, {}, [], [[frozenset("a")]]) == {"a": 60, "b": 5}


@pytest.mark.parametrize(("hits", "of", "bound"), [(0, 10, 0.2589), (0, 300, 0.00994), (2, 43, 0.1390), (5, 5, 1.0), (0, 0, 1.0)])
def test_the_upper_bound_is_the_exact_one(hits: int, of: int, bound: float) -> None:
    assert upper_bound(hits, of) == pytest.approx(bound, rel=0.01)


@pytest.mark.parametrize(("rate", "points"), [(0.1, 25), (0.01, 50), (0.12, 20), (1.0, 5), (0.5, 5)])
def test_points_by_how_seldom_people_show_a_sign(rate: float, points: int) -> None:
    assert most_points(rate) == points


def test_points_are_written_into_their_rule() -> None:
    text = "  - name: a\n    why: x\n    action: {score: 40}\n\n  - name: b\n    action: {score: -5}\n"
    assert written(text, {"b": -25, "a": 5}) == text.replace("40", "5").replace("-5", "-25")
