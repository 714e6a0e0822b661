"""Templates into answers: everything escaped, nothing but our own style allowed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from hashlib import blake2b
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from connectors.pages.texts import TEXTS, pick
from streams.engine.counting import to_date, to_day
from streams.engine.words import Language, day_in_words

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
"""Of every page: no script at all, no frame, nothing from elsewhere, nothing kept."""

STYLE_DIGEST = blake2b(
    (resources.files("connectors.pages") / "static" / "relais.css").read_bytes(), digest_size=6
).hexdigest()

_ENVIRONMENT = Environment(
    loader=PackageLoader("connectors.pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)  # fmt: skip


def moment(value: str | int | None, language: Language, short: bool = False) -> Markup:
    """A day (ISO 8601, or days since 1970-01-01) as a `time` element in words; a dash if there is none."""
    if value is None:
        return Markup("—")
    number = value if isinstance(value, int) else to_day(date.fromisoformat(value))
    iso = to_date(number).isoformat()
    text = day_in_words(number, language)
    if short:
        text = text.partition(" ")[2]
    return Markup('<time datetime="{}">{}</time>').format(iso, text)


def render(
    request: Request,
    template: str,
    values: Mapping[str, Any],
    language: Language = "fr",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A page in a language."""

    def say(name: str, **params: Any) -> str:
        text = pick(TEXTS[name], language)
        return text.format(**params) if params else text

    page = _ENVIRONMENT.get_template(template).render(
        dict(values),
        lang=language,
        t=say,
        day=lambda value, short=False: moment(value, language, short),
        style=f"/assets/relais.css?v={STYLE_DIGEST}",
        here=request.url.path,
    )
    return HTMLResponse(page, status, {**HEADERS, **(headers or {})})
