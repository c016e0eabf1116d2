"""The template of the pages that refused people read: `templates/refusal.html`, rendered by Jinja.

Not compiled, and imported when the first page is made: tools that only judge requests load no template engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup


@cache
def load_page_template() -> Template:
    """Read and compile the template, once in a process. The front does so at its start, so that no client waits for the disk."""
    loader = PackageLoader("proxyguard.http")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    return environment.get_template("refusal.html")


def render_page(title: str, message: str, facts: Sequence[tuple[str, str]], wait: str, reference: str) -> str:
    """The page as HTML. `facts` are names with values; `wait` is a span of time in words, '' for no invitation to come back."""
    text = Markup(escape(message))  # noqa: S704 - escaped here, as Jinja would write its quotation marks otherwise
    return load_page_template().render(title=title, message=text, facts=facts, wait=wait, reference=reference)
