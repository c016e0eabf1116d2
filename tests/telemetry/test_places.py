"""Where names stand in paths is learned from what is let through, and nobody alone teaches it."""

from __future__ import annotations

import pytest

from proxyguard.core.path_family import path_family
from proxyguard.core.privacy import PathDetail, Privacy
from proxyguard.telemetry.discretion import Discretion
from proxyguard.telemetry.places import MAX_OF_NETWORK, MAX_PLACES, MAX_WORDS, PLACES_OF_NETWORK, LearnedPlaces

ROUTES = ("about", "login", "search", "team", "imprint", "press")


def name(number: int) -> str:
    """A name of letters, another for each number."""
    return f"{chr(97 + number // 676 % 26)}{chr(97 + number // 26 % 26)}{chr(97 + number % 26)}-smith"


def taught(places: LearnedPlaces | Discretion, members: int = 200, networks: int = 20) -> None:
    for number in range(members):
        places.learn(f"/{ROUTES[number % len(ROUTES)]}".encode(), number % networks)
        places.learn(f"/team/{name(number)}/photos".encode(), number % networks)


def test_names_at_a_place_of_many_words_go_and_words_of_the_site_stay() -> None:
    places = LearnedPlaces()
    taught(places)
    assert places.without_names(f"/team/{name(3)}/photos", "[person]") == "/team/[person]/photos"
    assert places.without_names("/team/nobody-before/photos/anna", "*") == "/team/*/photos/anna"
    assert places.without_names("/team/Jürgen.Müller", "*") == "/team/*"
    assert [places.without_names(f"/{route}", "*") for route in ROUTES] == [f"/{route}" for route in ROUTES]


def test_a_word_that_a_large_part_of_a_place_has_stays_among_names() -> None:
    places = LearnedPlaces()
    for number in range(600):
        places.learn(f"/{name(number)}".encode(), number)
        places.learn(f"/posts/{number}".encode(), number)
    assert places.without_names("/posts/17", "*") == "/posts/17"
    assert places.without_names(f"/{name(7)}", "*") == "/*"


def test_files_numbers_and_marks_are_no_words_of_a_place() -> None:
    places = LearnedPlaces()
    for number in range(500):
        for path in (f"/{number}", f"/{name(number)}.php", f"/{name(number)}12345"):
            places.learn(path.encode(), number)
    assert places.without_names("/wp-login.php", "*") == "/wp-login.php"
    assert places.without_names("/login", "*") == "/login"


def test_one_network_alone_makes_no_place_one_of_names() -> None:
    places = LearnedPlaces()
    for number in range(2000):
        places.learn(f"/{name(number)}".encode(), 7)
    assert places.without_names("/login", "*") == "/login"
    for number in range(MAX_WORDS // MAX_OF_NETWORK):
        for word in range(MAX_OF_NETWORK + 1):
            places.learn(f"/{name(number * 100 + word)}".encode(), number)
    assert places.without_names("/login", "*") == "/*"


def test_places_are_bounded_and_where_they_end_nothing_is_shown() -> None:
    places = LearnedPlaces()
    taught(places)
    for number in range(3 * MAX_PLACES):
        places.learn(f"/about/{name(number)}/login".encode(), number)
        places.learn(f"/x{number % 90}/{name(number)}/y/z".encode(), number)
    for first in range(26):
        for second in range(26):
            places.learn(f"/team/about/{chr(97 + first)}{chr(97 + second)}/x".encode(), 1)
            places.learn(f"/press/{chr(97 + first)}/{chr(97 + second)}/x".encode(), first * 26 + second)
    assert len(places._places) <= MAX_PLACES
    assert max(len(place.words) for place in places._places.values()) <= MAX_WORDS
    assert places.without_names(f"/team/{name(3)}", "*") == "/team/*"


def test_one_network_alone_takes_no_place_from_others() -> None:
    places = LearnedPlaces()
    for number in range(2 * MAX_PLACES):
        places.learn(f"/{name(number)}/x".encode(), 7)
    assert len(places._places) == PLACES_OF_NETWORK
    assert places.without_names("/shop/login", "*") == "/shop/*"
    places.learn(b"/shop/login", 8)
    assert places.without_names("/shop/login", "*") == "/shop/login"


@pytest.mark.parametrize("paths", [PathDetail.REDACTED, PathDetail.FAMILY])
def test_records_and_lists_have_no_learned_names(paths: PathDetail) -> None:
    discretion = Discretion(Privacy(paths=paths), b"secret")
    path = f"/team/{name(3)}".encode()
    taught(discretion)
    assert name(3) not in discretion.path(path)
    assert discretion.family(path_family(path)) == "/team/*"
    assert discretion.path(b"/login") == "/login"


@pytest.mark.parametrize("privacy", [Privacy(learn_names=False), Privacy(paths=PathDetail.WHOLE)])
def test_an_operator_may_want_them_all_the_same(privacy: Privacy) -> None:
    discretion = Discretion(privacy, b"secret")
    taught(discretion)
    assert discretion.path(f"/team/{name(3)}".encode()) == f"/team/{name(3)}"


def test_a_path_that_was_shown_before_is_hidden_once_its_names_are_known() -> None:
    discretion = Discretion(Privacy(), b"secret")
    path = f"/team/{name(3)}".encode()
    assert [discretion.path(path), discretion.path(path)] == [f"/team/{name(3)}"] * 2
    taught(discretion)
    assert discretion.path(path) != f"/team/{name(3)}"


@pytest.mark.parametrize("encoded", ["%61nna-smith", "%2561nna-smith", "anna%2dsmith", "\uff41nna-smith"])
def test_a_name_that_is_encoded_once_more_than_the_path_goes_too(encoded: str) -> None:
    discretion = Discretion(Privacy(), b"secret")
    taught(discretion)
    assert discretion.path(f"/team/{encoded}/photos".encode()) == "/team/[person]/photos"
    assert discretion.path(b"/%74eam/anna-smith") == "/team/[person]"


def test_a_name_in_another_encoding_goes_too() -> None:
    discretion = Discretion(Privacy(), b"secret")
    taught(discretion)
    assert discretion.path("/team/Jürgen-Müller".encode("latin-1")) == "/team/[person]"
    assert discretion.path("/press/Übersicht".encode("latin-1")) == "/press/\\xdcbersicht"
