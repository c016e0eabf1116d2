"""The pages of a maze: text of a word list, and links that lead on, all of it drawn from a seed.

A page is the same for the same seed. Nothing of it is about anybody, and it says so. Its links are names beside the page itself,
so nothing that a client sent stands in it. Knows nothing of who is lost in it, or of what it costs.
"""

from __future__ import annotations

from hashlib import shake_256
from html import escape
from typing import Final

from proxyguard.core.request import Headers
from proxyguard.core.settings import RefusalPage
from proxyguard.http.languages import language

LINKS: Final = 12
_LINK_DIGITS: Final = 4
"""Two words and a number of 65,536: some four thousand million names beside one page."""

_SENTENCES: Final = 12
_SENTENCE_WORDS: Final = 8
_TITLE_DIGITS: Final = 4
_DIGITS: Final = _TITLE_DIGITS + LINKS * _LINK_DIGITS + _SENTENCES * _SENTENCE_WORDS

HEADERS: Final[Headers] = (
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"Cache-Control", b"no-store"),
    (b"X-Robots-Tag", b"noindex, nofollow"),
)

_WORDS: Final = """
acorn alder almond amber anchor anvil apple apron arbor arch ash aspen attic autumn awning axle
badge bakery balcony bamboo barley barn basalt basil basin basket bay beacon bead bean beech bell
bench birch blanket blossom boat bobbin bonnet bottle boulder bow bowl braid branch brass bread breeze
brick bridge brook broom brush bucket burrow butter button cabin cactus candle canoe canvas canyon cape
carpet carrot cart cedar cellar chalk charcoal cherry chest chestnut chimney cider cinder clay cliff cloak
clock cloud clover coal cobble cocoa comet copper coral cork corner cotton cove cradle crater creek
crescent crocus crystal cup current curtain cypress daisy dawn delta desert dew dome door dough dove
drawer drift drum dune dusk eagle earth echo elder elm ember fabric falcon feather fennel fern
ferry field fig finch flame flannel flax fleece flint flour flute foam fog forest fossil fountain
fox frost furnace galley garden garlic garnet gate geyser ginger glacier glass globe glove granite grape
grass gravel grove gull hammer hammock harbor harvest hazel heather hedge heron hill hinge honey hoop
horizon ice indigo iris iron island ivory ivy jade jar jasmine juniper kettle kiln kite ladder
lagoon lake lamp lantern larch lark lattice laurel lavender leaf ledge lemon lichen lilac lily linen
loaf loom lotus magnet mango maple marble marsh meadow melon mesa mill mint mirror mist moon
moss moth needle nest nettle oak oar oat olive onyx opal orbit orchard otter oven owl
paddle pail palm parsley pasture pear pebble pepper petal pewter pillow pine plum pond poplar quartz
"""

WORDS: Final = tuple(_WORDS.split())
"""One for each value of a byte: things of garden, kitchen and weather, in English, all lower case."""

_CAPITALS: Final = tuple([word.capitalize() for word in WORDS])

_HEAD: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="robots" content="noindex, nofollow">'
    '<meta name="viewport" content="width=device-width, initial-scale=1"><title>'
)
_FOOT: Final = "<hr>\n<p>A program made this page for programs. Its text means nothing and is about nobody.</p>\n"


def maze_page(seed: bytes, canary: str, notice: str) -> bytes:
    """A page. `canary` is the e-mail address of its invented person, empty for none; `notice` is HTML for people."""
    words, capitals = WORDS, _CAPITALS
    digits = shake_256(seed).digest(_DIGITS)
    hexadecimal = digits.hex()
    title = f"{capitals[digits[0]]} {words[digits[1]]}"
    person = f"<dl><dt>{capitals[digits[2]]} {capitals[digits[3]]}</dt><dd>{canary}</dd></dl>\n" if canary else ""
    links = []
    for at in range(_TITLE_DIGITS, _TITLE_DIGITS + LINKS * _LINK_DIGITS, _LINK_DIGITS):
        first, second = digits[at], words[digits[at + 1]]
        number = hexadecimal[2 * at + 4 : 2 * at + 8]
        link = f'<li><a rel="nofollow" href="{words[first]}-{second}-{number}">{capitals[first]} {second}</a></li>\n'
        links.append(link)
    start = _TITLE_DIGITS + LINKS * _LINK_DIGITS
    middle = start + _SENTENCES // 2 * _SENTENCE_WORDS
    above, below = _sentences(digits, start, middle), _sentences(digits, middle, _DIGITS)
    text = (
        f"{_HEAD}{title}</title></head><body><main>\n<h1>{title}</h1>\n<p>{above}.</p>\n<ul>\n{''.join(links)}</ul>\n"
        f"<p>{below}.</p>\n{person}{_FOOT}{notice}</main></body></html>\n"
    )
    return text.encode()


def _sentences(digits: bytes, start: int, end: int) -> str:
    words, capitals = WORDS, _CAPITALS
    found = []
    for at in range(start, end, _SENTENCE_WORDS):
        rest = " ".join([words[digit] for digit in digits[at + 1 : at + _SENTENCE_WORDS]])
        found.append(f"{capitals[digits[at]]} {rest}")
    return ". ".join(found)


def notice_for_people(page: RefusalPage, code: str) -> tuple[str, str]:
    """What somebody reads who is lost by mistake: whom to tell which reference, in a language; before the reference and after."""
    texts = language(code)
    contact = f" {escape(texts.words['contact'])}: {escape(page.contact)}" if page.contact else ""
    before = f'<p lang="{texts.code}" dir="{texts.direction}">{escape(texts.words["person"])} <code>'
    return before, f"</code>{contact}</p>\n"
