"""The rules of a deployment: packaged definitions and calendars, the directory of its bodies, in one rule book."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from pydantic import ValidationError

from deploy.errors import DeployError, Exit
from schemas.directory import Directory

if TYPE_CHECKING:
    from schemas.definitions import Journey
    from streams.engine.book import Book


class DirectoryError(DeployError):
    """A directory file that cannot be used; the text names the file, the place and the mend."""

    exit_code = Exit.USAGE


def directory(path: Path | None = None) -> Directory:
    """The directory of a file, or the packaged example territory."""
    source = path if path is not None else resources.files("deploy") / "territory" / "bourg-en-bresse.yaml"
    try:
        found = yaml.safe_load(source.read_text(encoding="utf-8"))
        return Directory.model_validate(found or {})
    except (OSError, yaml.YAMLError) as error:
        raise DirectoryError(f"the directory {source} cannot be read: {error}") from None
    except ValidationError as error:
        told = "\n".join(f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise DirectoryError(f"the directory {source} is not sound:\n{told}") from None


def book(bodies: Directory, more: Iterable[Journey] = ()) -> Book:
    """The rule book: packaged definitions, and from the beginning of each in `more` that one in their place."""
    from schemas import definitions, holidays  # noqa: PLC0415
    from streams.engine.book import Book  # noqa: PLC0415
    from streams.engine.calendars import calendars  # noqa: PLC0415

    return Book(definitions.load().changed_by(more), bodies, calendars(holidays.load()))
