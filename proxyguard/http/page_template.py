"""The template of the pages that refused people read: `templates/refusal.html`, or one of the operator's own, rendered by Jinja.

Not compiled, and imported when the first page is made: tools that only judge requests load no template engine. An operator's
template runs in Jinja's sandbox, and is tried out before it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from proxyguard.core.settings import RefusalPage
from proxyguard.http.languages import Language, language

MAX_TEMPLATE_BYTES: Final = 64 * 1024
"""Of a template, and of the page that it makes."""

WAIT: Final = "\0wait\0"
REFERENCE: Final = "\0reference\0"
"""Where values are put into a page that is made."""


class TemplateFault(Exception):
    """A template that cannot be used; the message names the file, the line where there is one, and what to do."""


@cache
def load_page_template(path: Path | None = None) -> Template:
    """Read and compile the template, once in a process. Raises TemplateFault.

    The front does so at its start, so that no client waits for the disk.
    """
    if path is None:
        loader = PackageLoader("proxyguard.http")
        own = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
        return own.get_template("refusal.html")
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise TemplateFault(f"{path}: {getattr(error, 'strerror', None) or 'is not UTF-8'}") from error
    if len(text) > MAX_TEMPLATE_BYTES:
        raise TemplateFault(f"{path}: larger than {MAX_TEMPLATE_BYTES // 1024} KiB\n  hint: put pictures and styles into files")
    sandbox = SandboxedEnvironment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    try:
        template = sandbox.from_string(text)
        _try_out(template, path)
    except TemplateError as error:
        place = f"{path}:{line}" if (line := getattr(error, "lineno", None)) else str(path)
        raise TemplateFault(
            f"{place}: {error.message or error}\n  hint: docs/guide/refusal-pages.md lists what a template can show"
        ) from error
    return template


def _try_out(template: Template, path: Path) -> None:
    """Render a page of each kind. Raises TemplateError and TemplateFault."""
    for facts, wait in (((), ""), ((("Limit", "\0Limit\0"),), WAIT)):
        page = render_page(template, RefusalPage(), language("en"), "Title", "Message", facts, wait, REFERENCE)
        if len(page) > MAX_TEMPLATE_BYTES:
            raise TemplateFault(f"{path}: its page is larger than {MAX_TEMPLATE_BYTES // 1024} KiB")
        if REFERENCE not in page:
            raise TemplateFault(
                f"{path}: shows no reference, so nobody could ask about it\n  hint: write {{{{ reference }}}}, without a filter"
            )
        if page.count("\0") % 2:
            raise TemplateFault(f"{path}: changes a value\n  hint: write {{{{ reference }}}} and the like without filters")


def render_page(
    template: Template, page: RefusalPage, texts: Language, title: str, message: str, facts: Sequence[tuple[str, str]], wait: str,
    reference: str,
) -> str:  # fmt: skip
    """The page as HTML. `facts` are names with values; `wait` is a span of time in words, '' for no invitation to come back."""
    return template.render(
        language=texts.code,
        direction=texts.direction,
        words=texts.words,
        title=title,
        message=Markup(escape(message)),  # noqa: S704 - escaped here, as Jinja would write its quotation marks otherwise
        facts=facts,
        try_again=texts.words["try_again"].format(wait=wait) if wait else "",
        wait=wait,
        reference=reference,
        site_name=page.site_name,
        logo=page.logo,
        contact=page.contact,
        link=page.link,
    )
