"""The people and posts of the sample site: made up, the same on every run, found by number.

Knows nothing of HTTP or HTML.
"""

from __future__ import annotations

from typing import Final, NamedTuple

PEOPLE: Final = 600
POSTS: Final = 2_400
PAGE_SIZE: Final = 20

_FIRST: Final = (
    "Ada", "Bram", "Chiara", "Dusan", "Elif", "Farid", "Greta", "Hiro", "Imani", "Jonas", "Katya", "Leila", "Mateo",
    "Nadia", "Olu", "Priya", "Quinn", "Rosa", "Sven", "Tomoko", "Uma", "Viktor", "Wanda", "Ximena", "Yusuf",
)  # fmt: skip
_LAST: Final = (
    "Abara", "Brandt", "Costa", "Dvorak", "Eriksen", "Ferrari", "Garcia", "Haddad", "Ito", "Jansen", "Kowalski", "Lund",
    "Moreau", "Nakata", "Okafor", "Petrov", "Rahman", "Silva", "Tanaka", "Ueda", "Varga", "Weber", "Yilmaz", "Zhou",
)  # fmt: skip
_TOWNS: Final = ("Aarhus", "Bergamo", "Cork", "Delft", "Evora", "Freiburg", "Ghent", "Haarlem", "Izmir", "Jena")
_TOPICS: Final = ("bread", "bicycles", "gardens", "maps", "radio", "rivers", "sewing", "trains", "weather", "woodwork")
_OPENINGS: Final = (
    "Spent the morning with", "A question about", "Found an old book on", "Three things I learned about",
    "Nobody told me how much fun there is in", "Looking for company:",
)  # fmt: skip


class Person(NamedTuple):
    number: int
    name: str
    handle: str
    town: str
    interest: str


class Post(NamedTuple):
    number: int
    author: Person
    topic: str
    text: str
    published: str
    """RFC 3339, UTC."""


def person(number: int) -> Person | None:
    """The person of a number from 1 to PEOPLE."""
    if not 1 <= number <= PEOPLE:
        return None
    seed = number * 7919
    first, last = _FIRST[seed % len(_FIRST)], _LAST[seed // 25 % len(_LAST)]
    return Person(number, f"{first} {last}", f"{first}.{last}.{number}".lower(), _TOWNS[seed % 10], _TOPICS[seed // 10 % 10])


def post(number: int) -> Post | None:
    """The post of a number from 1 to POSTS; higher is newer."""
    author = person((number * 31) % PEOPLE + 1)
    if not 1 <= number <= POSTS or author is None:
        return None
    topic = _TOPICS[number * 13 % len(_TOPICS)]
    text = f"{_OPENINGS[number * 17 % len(_OPENINGS)]} {topic}, here in {author.town}."
    day, minute = divmod(number, 24 * 60 // 15)
    published = f"2026-03-{1 + day % 28:02}T{minute // 4:02}:{minute % 4 * 15:02}:00Z"
    return Post(number, author, topic, text, published)


def people_page(page: int) -> list[Person]:
    first = (page - 1) * PAGE_SIZE + 1
    return [found for number in range(first, first + PAGE_SIZE) if (found := person(number))]


def posts_page(page: int) -> list[Post]:
    """One page of posts, newest first, from page 1."""
    last = POSTS - (page - 1) * PAGE_SIZE
    return [found for number in range(last, last - PAGE_SIZE, -1) if (found := post(number))]


def posts_by(author: Person) -> list[Post]:
    """Every post of a person, newest first."""
    return [found for number in range(POSTS, 0, -1) if (number * 31) % PEOPLE + 1 == author.number and (found := post(number))]


def search(words: str) -> list[Person]:
    """At most PAGE_SIZE people whose name, town or interest contains the words."""
    words = words.strip().lower()
    everyone = (found for number in range(1, PEOPLE + 1) if (found := person(number)))
    hits = (found for found in everyone if words in f"{found.name} {found.town} {found.interest}".lower())
    return [found for found, _ in zip(hits, range(PAGE_SIZE), strict=False)] if words else []


def is_taken(email: str) -> bool:
    """Whether an address already belongs to someone: the one bit that a sign-up form gives away per request."""
    name, _, domain = email.strip().lower().partition("@")
    number = name.rpartition(".")[2]
    found = person(int(number)) if number.isdecimal() and len(number) < 6 else None
    return domain == "example.org" and found is not None and found.handle == name
