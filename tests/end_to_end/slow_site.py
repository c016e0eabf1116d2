"""A site for gunicorn: a small page, a large one, and forms whose body it reads to the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

LARGE: Final = b"x" * 3_000_000


def application(environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]) -> Iterable[bytes]:
    """Answer one request, as PEP 3333 has it."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    body = LARGE if environ["PATH_INFO"] == "/big" else b"hello"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
