"""Secrets in a configuration: by value, by environment or by file; never printed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, SecretStr, model_validator

from connectors.kit.contract import ConfigError


class Secret(BaseModel):
    """`password: {file: /run/secrets/db}`, `{env: DB_PASSWORD}`, or the value itself as a text."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)

    value: SecretStr | None = None
    """The secret itself."""
    env: str | None = None
    """Name of the environment variable that holds it."""
    file: Path | None = None
    """File that holds it; white space at its end does not count."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: object) -> object:
        return {"value": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(way is not None for way in (self.value, self.env, self.file)) != 1:
            raise ValueError("give one of: the secret itself, env, file")
        return self

    def get(self) -> str:
        """The secret. Raises `ValueError` that says what is missing, never what was found."""
        if self.value is not None:
            return self.value.get_secret_value()
        if self.env is not None:
            try:
                return os.environ[self.env]
            except KeyError:
                raise ValueError(f"the environment variable {self.env} is not set") from None
        assert self.file is not None
        try:
            return self.file.read_text(encoding="utf-8").rstrip()
        except OSError as error:
            raise ValueError(f"{self.file} cannot be read: {error.strerror}") from None


def reveal(secret: Secret, field: str) -> str:
    """The secret. Raises `ConfigError` that says what is missing."""
    try:
        found = secret.get()
    except ValueError as error:
        raise ConfigError(str(error), field) from None
    if not found:
        raise ConfigError("the secret is empty", field)
    return found
