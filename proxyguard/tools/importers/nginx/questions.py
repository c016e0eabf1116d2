"""The condition of an `if` as a question about a variable."""

from __future__ import annotations

from typing import Final

from proxyguard.tools.importers.draft import NotCarried
from proxyguard.tools.importers.nginx.syntax import Directive
from proxyguard.tools.importers.nginx.variables import Question

_SIGNS: Final = frozenset({"=", "!=", "~", "~*", "!~", "!~*"})
_OF_FILES: Final = frozenset({"-f", "!-f", "-d", "!-d", "-e", "!-e", "-x", "!-x"})


def question_of(found: Directive) -> tuple[str, Question]:
    """The source, and what is asked about it. Raises NotCarried."""
    words = list(found.args)
    if not words:
        raise NotCarried("it has no condition")
    words[0] = words[0].removeprefix("(")
    words[-1] = words[-1].removesuffix(")")
    words = [word for at, word in enumerate(words) if word or 0 < at < len(words) - 1]
    if len(words) == 1 and words[0].startswith("$"):
        return words[0], Question("set", "")
    if len(words) == 2 and words[1] in {"=", "!="}:
        words.append("")
    if words and words[0] in _OF_FILES:
        raise NotCarried("rules do not see the site's files")
    if len(words) != 3 or words[1] not in _SIGNS:
        raise NotCarried("it is not a comparison that nginx has")
    return words[0], Question(words[1].removeprefix("!"), words[2], words[1].startswith("!"))
