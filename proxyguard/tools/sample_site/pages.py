"""The sample site's HTML, feed and sitemap as text. Every value that is not ours is escaped here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Final

from proxyguard.tools.sample_site.content import PAGE_SIZE, PEOPLE, Person, Post, people_page, posts_by, posts_page, search

ROBOTS: Final = "User-agent: *\nDisallow: /search\nDisallow: /api/\nCrawl-delay: 10\nSitemap: /sitemap.xml\n"
SECURITY: Final = "Contact: mailto:security@example.org\nExpires: 2030-01-01T00:00:00Z\nPreferred-Languages: en\n"

_FRAME: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Commons</title>
<link rel="stylesheet" href="/static/style.css">
<link rel="icon" href="/static/logo.svg" type="image/svg+xml">
<link rel="alternate" type="application/atom+xml" title="Commons" href="/feed.xml">
<script src="/static/site.js" defer></script>
</head>
<body>
<header>
<a class="brand" href="/"><img src="/static/logo.svg" alt="" width="32" height="32">Commons</a>
<nav><a href="/profiles">People</a><a href="/live">Live</a><a href="/login">Log in</a>
<a class="button" href="/signup">Sign up</a></nav>
<form class="search" action="/search" role="search"><input name="q" placeholder="Search people" aria-label="Search people"></form>
</header>
<main>
{body}
</main>
<footer>Commons is a made-up site for trying proxyguard. Nobody here is real. <a href="/feed.xml">Feed</a></footer>
</body>
</html>
"""

_FORM: Final = """<section class="card narrow"><h1>{title}</h1><p id="result" class="{tone}">{note}</p>
<form method="post" action="{action}">
<label>Email <input name="email" type="email" required autocomplete="email"></label>
<label>Password <input name="password" type="password" required autocomplete="current-password"></label>
<button class="button">{title}</button></form></section>"""

_LIVE: Final = """<section class="card"><h1>Live</h1>
<p>Ticks by server-sent events: <output id="ticks">0</output></p>
<p>WebSocket echo: <output id="echo">waiting</output></p></section>"""


def frame(title: str, body: str) -> str:
    """A whole page around a body that is HTML already."""
    return _FRAME.format(title=escape(title), body=body)


def home() -> str:
    """The newest posts."""
    return frame("Home", f"<h1>What people are up to</h1>{_posts(posts_page(1))}")


def profiles(page: int) -> str:
    """One page of the directory."""
    last = -(-PEOPLE // PAGE_SIZE)
    links = [f'<a rel="{rel}" href="/profiles?page={to}">{text}</a>'
             for rel, to, text in (("prev", page - 1, "Previous"), ("next", page + 1, "Next")) if 1 <= to <= last]  # fmt: skip
    return frame("People", f'<h1>People</h1>{_people(people_page(page))}<p class="pages">{"".join(links)}</p>')


def profile(person: Person) -> str:
    """One person and what they wrote."""
    return frame(
        person.name,
        f'<section class="card person"><span class="face" style="--hue:{person.number * 47 % 360}">{person.name[0]}</span>'
        f"<div><h1>{escape(person.name)}</h1><p>@{escape(person.handle)} · {person.town}</p>"
        f"<p>Interested in {person.interest}</p></div></section>{_posts(posts_by(person))}",
    )


def single_post(post: Post) -> str:
    """One post on its own page."""
    return frame(post.text, _posts([post]))


def results(words: str) -> str:
    """Search results."""
    found = search(words)
    return frame("Search", f"<h1>{len(found)} results for “{escape(words)}”</h1>{_people(found)}")


def form(title: str, action: str, note: str = "", tone: str = "") -> str:
    """The sign-up or log-in form, with what came of the last try."""
    return frame(title, _FORM.format(title=escape(title), action=action, note=escape(note), tone=tone))


def live() -> str:
    """A page whose script opens an event stream and a WebSocket."""
    return frame("Live", _LIVE)


def feed(origin: str) -> str:
    """The newest posts as an Atom feed (RFC 4287)."""
    posts = posts_page(1)
    entries = "".join(
        f"<entry><id>{escape(origin)}/posts/{post.number}</id><title>{escape(post.text)}</title>"
        f"<updated>{post.published}</updated><author><name>{escape(post.author.name)}</name></author>"
        f'<link href="{escape(origin)}/posts/{post.number}"/></entry>'
        for post in posts
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom">'
        f"<title>Commons</title><id>{escape(origin)}/</id><updated>{posts[0].published}</updated>{entries}</feed>"
    )


def sitemap(origin: str) -> str:
    """Every profile, as a sitemap."""
    urls = "".join(f"<url><loc>{escape(origin)}/profiles/{number}</loc></url>" for number in range(1, PEOPLE + 1))
    head = '<?xml version="1.0" encoding="utf-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    return f"{head}{urls}</urlset>"


def _posts(posts: Iterable[Post]) -> str:
    return "".join(
        f'<article class="card"><p><a href="/profiles/{post.author.number}">{escape(post.author.name)}</a>'
        f' <time datetime="{post.published}">{post.published[:10]}</time></p>'
        f'<p><a class="plain" href="/posts/{post.number}">{escape(post.text)}</a></p><p class="tag">#{post.topic}</p></article>'
        for post in posts
    )


def _people(people: Iterable[Person]) -> str:
    items = "".join(
        f'<li class="card"><a href="/profiles/{person.number}">{escape(person.name)}</a> {person.town}, {person.interest}</li>'
        for person in people
    )
    return f'<ul class="people">{items}</ul>'
