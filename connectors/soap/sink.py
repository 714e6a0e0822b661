"""A sink that calls an operation for each item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from connectors.kit.contract import (
    ConfigError,
    ConnectorConfig,
    ConnectorError,
    Finding,
    Item,
    Outcome,
    Reject,
    Rejected,
    Report,
    Sent,
    Unavailable,
)
from connectors.kit.expressions import Expression, ExpressionError
from connectors.kit.sending import one_by_one
from connectors.soap.service import Service, SoapConfig, SoapFault


class SoapSinkConfig(SoapConfig):
    """A SOAP service that is told."""

    operation: str
    """Operation that is called for each item."""
    arguments: dict[str, str] = Field(min_length=1)
    """Its arguments, each a JSONata expression over the item: `id`, `kind`, `key`, `gone`, `content`. Give it `id`, by which the
    service knows an item that it is told again."""
    kinds: tuple[Literal["handoff", "status"], ...] = ("handoff",)
    """Which items it is told of."""
    states: tuple[str, ...] = ("sent",)
    """In which states of a handoff; empty: in all."""
    receipt: bool = True
    """Whether an answer without a fault means that the body has received the handoff."""


class SoapSink:
    """Tells a SOAP service of each item."""

    Config: ClassVar[type[ConnectorConfig]] = SoapSinkConfig

    def __init__(self, config: SoapSinkConfig) -> None:
        self._config = config
        self._service = Service(config)
        self._arguments: dict[str, Expression] | None = None

    async def check(self) -> Report:
        """Read the WSDL and the expressions; the operation is not called."""
        config = self._config
        try:
            self._compiled()
            known = await self._service.operations()
            if config.operation not in known:
                raise ConfigError(f"the service has no operation of this name; it has {', '.join(known)}", "operation")
        except ConnectorError as error:
            return Report([Finding(False, f"{config.wsdl.name}: {config.operation}", str(error))])
        return Report([Finding(True, f"{config.operation}({known[config.operation]})")])

    async def close(self) -> None:
        """Close the connections."""
        await self._service.close()

    async def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """One call for each item that is meant; those of one key stop at the first that has to wait."""
        return await one_by_one(items, self._one)

    async def _one(self, item: Item) -> Outcome:
        if not self._is_meant(item):
            return Sent()
        told: dict[str, Any] = {
            "id": item.id, "kind": item.kind, "key": item.key, "gone": item.gone, "content": dict(item.content),
        }  # fmt: skip
        try:
            arguments = {name: expression(told) for name, expression in self._compiled().items()}
            await self._service.call(self._config.operation, arguments)
        except ExpressionError as error:
            return Reject(f"an argument of {self._config.operation} cannot be made: {error}")
        except Rejected as error:
            return Reject(error.mend)
        except SoapFault as fault:
            if fault.ours:
                return Reject(f"{fault}: it says that what it is told is wrong")
            raise Unavailable(str(fault)) from None
        return Sent(receipt=self._config.receipt and item.kind == "handoff")

    def _is_meant(self, item: Item) -> bool:
        config = self._config
        if item.kind not in config.kinds or item.gone:
            return False
        return item.kind == "status" or not config.states or item.content["state"] in config.states

    def _compiled(self) -> dict[str, Expression]:
        if self._arguments is None:
            made = {}
            for name, text in self._config.arguments.items():
                try:
                    made[name] = Expression(text, {})
                except ExpressionError as error:
                    raise ConfigError(str(error), f"arguments.{name}") from None
            self._arguments = made
        return self._arguments
