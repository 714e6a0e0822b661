"""One SOAP service: its WSDL from a local file, its calls through the one client of outgoing calls, its faults as our kinds of error.

zeep is synchronous, so it works in a thread; the bytes themselves go out in the loop. WSDL and schemas are read from beside the
WSDL's file and from nowhere else; XML with a document type, entities or references to the outside is refused.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import Field
from zeep import Client as Zeep
from zeep import Settings
from zeep.exceptions import Error, ExternalReferenceForbidden, Fault, TransportError, ValidationError, XMLParseError
from zeep.helpers import serialize_object
from zeep.transports import Transport
from zeep.wsse.username import UsernameToken

from connectors.kit.authentication import Authenticated, Basic
from connectors.kit.contract import ConfigError, ConnectorConfig, Json, Rejected, Unavailable
from connectors.kit.outgoing import Answer, Client, Outgoing
from connectors.kit.secret import Secret, reveal

_OURS = {"Client", "Sender", "VersionMismatch", "MustUnderstand"}
"""Codes of faults that say that the request is wrong (SOAP 1.1 §4.4.1, SOAP 1.2 part 1 §5.4.6); others say "not now"."""


class Faults(ConnectorConfig):
    """What the faults of a service mean, by name of their detail (`Maintenance`) or their code; unnamed ones by SOAP's own rule."""

    unavailable: tuple[str, ...] = ()
    """Not now: wait."""
    rejected: tuple[str, ...] = ()
    """This record can never be taken."""
    configuration: tuple[str, ...] = ()
    """A person has to change something: rights, a contract that ended."""


class SoapConfig(ConnectorConfig):
    """A SOAP service."""

    wsdl: Path
    """The WSDL on this machine; the schemas that it imports stand beside it."""
    address: str = ""
    """Where the service is, if it is not where the WSDL says."""
    service: str | None = None
    """Name of the service, if the WSDL has several."""
    port: str | None = None
    """Name of the port, if the service has several."""
    basic: Basic | None = None
    """User and password by HTTP."""
    token_user: str = ""
    """User of a WS-Security UsernameToken."""
    token_password: Secret | None = None
    """Its password; sent as a digest."""
    faults: Faults = Faults()
    """What its faults mean."""
    max_calls_s: float = Field(60.0, gt=0)
    """Wait for a whole call."""
    out: Outgoing = Outgoing()
    """How calls go out."""


class SoapFault(Exception):  # noqa: N818 - SOAP's word
    """A fault that the configuration does not name; `ours`: by its code the request is wrong."""

    def __init__(self, name: str, ours: bool) -> None:
        super().__init__(f"the service answers with the fault {name}")
        self.name = name
        self.ours = ours


class Service:
    """Calls operations."""

    def __init__(self, config: SoapConfig) -> None:
        self._config = config
        self._http: Client | None = None
        self._zeep: Any = None

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = self._zeep = None

    async def operations(self) -> dict[str, str]:
        """The operations of the port with their arguments. Raises `ConfigError` if the WSDL cannot be used."""
        bound = await self._bound()
        return {name: one.input.signature() for name, one in sorted(bound._binding._operations.items())}

    async def call(self, operation: str, arguments: Mapping[str, Json]) -> Json:
        """What an operation answers, as JSON.

        Raises:
            ConfigError: no such operation or argument, or a fault that the configuration counts so.
            Unavailable: no answer, or a fault that means "not now".
            Rejected: arguments that do not fit the schema, or a fault that means so.
            SoapFault: any other fault.
        """
        bound = await self._bound()
        if operation not in bound._binding._operations:
            known = ", ".join(sorted(bound._binding._operations))
            raise ConfigError(f"the service has no operation of this name; it has {known}", "operation")
        try:
            async with asyncio.timeout(self._config.max_calls_s):
                answer = await asyncio.to_thread(bound[operation], **arguments)
        except TimeoutError:
            raise Unavailable("the service does not answer in time") from None
        except Fault as fault:
            raise self._meaning(fault) from None
        except TransportError as error:
            raise Unavailable(f"the service answers {error.status_code} without a SOAP message") from None
        except XMLParseError:
            raise Unavailable("the answer of the service does not fit its WSDL") from None
        except (ValidationError, TypeError, ValueError) as error:
            raise Rejected(f"the arguments of {operation} do not fit the WSDL ({type(error).__name__})") from None
        except Error as error:
            raise Unavailable(f"the answer of the service is not sound ({type(error).__name__})") from None
        return plain(serialize_object(answer, dict))

    async def _bound(self) -> Any:
        if self._zeep is None:
            self._http = Client(self._config.out)
            transport = _Wire(asyncio.get_running_loop(), Authenticated(self._http, self._config.basic), self._config)
            self._zeep = await asyncio.to_thread(_opened, self._config, transport)
        return self._zeep

    def _meaning(self, fault: Fault) -> Exception:
        code = str(fault.code or "").rpartition(":")[2]
        if isinstance(fault.detail, bytes):  # so zeep gives what is no SOAP fault at all
            return Unavailable("the service answers an error that is no SOAP fault")
        children = () if fault.detail is None else fault.detail
        detail = next((child for child in children if isinstance(child.tag, str)), None)
        named = detail.tag.rpartition("}")[2] if detail is not None else code
        faults, told = self._config.faults, f"the service answers with the fault {named}"
        for names, made in (
            (faults.unavailable, Unavailable(told)),
            (faults.rejected, Rejected(told)),
            (faults.configuration, ConfigError(told)),
        ):
            if {named, code} & set(names):
                return made
        return SoapFault(named, code in _OURS)


@dataclass(slots=True)
class _Response:
    """As much of an HTTP response as zeep asks for."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes
    encoding: str | None = None


class _Wire(Transport):  # type: ignore[misc]
    """Reads files beside the WSDL, and posts through the client of outgoing calls."""

    def __init__(self, loop: asyncio.AbstractEventLoop, caller: Authenticated, config: SoapConfig) -> None:
        super().__init__()
        self._loop = loop
        self._caller = caller
        self._folder = config.wsdl.resolve().parent
        self._timeout_s = config.max_calls_s

    def load(self, url: str) -> bytes:
        parts = urlsplit(url)
        path = Path(unquote(parts.path) if parts.scheme == "file" else url).resolve()
        if parts.scheme not in {"", "file"} or not path.is_relative_to(self._folder):
            raise ConfigError(f"the WSDL imports {url}: keep a copy beside it and let the import name that", "wsdl")
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path.name} cannot be read: {error.strerror}", "wsdl") from None

    def post(self, address: str, message: bytes, headers: Mapping[str, str]) -> _Response:
        asked = self._caller.request("POST", address, content=message, headers=headers)
        answer: Answer = asyncio.run_coroutine_threadsafe(asked, self._loop).result(self._timeout_s)
        if answer.status in {401, 403, 404, 405}:
            answer.good("the service")
        return _Response(answer.status, answer.headers, answer.body)


def _opened(config: SoapConfig, transport: _Wire) -> Any:
    settings = Settings(
        strict=True,
        forbid_dtd=True,
        forbid_entities=True,
        forbid_external=True,
        xml_huge_tree=False,
        raw_response=False,
    )
    wsse = None
    if config.token_user:
        password = reveal(config.token_password, "token_password") if config.token_password else ""
        wsse = UsernameToken(config.token_user, password, use_digest=True)
    try:
        opened = Zeep(str(config.wsdl), transport=transport, settings=settings, wsse=wsse)
        bound = opened.bind(config.service, config.port)
    except ConfigError:
        raise
    except ExternalReferenceForbidden:
        raise ConfigError(
            "it imports from elsewhere: keep a copy beside it and let the import name that", "wsdl"
        ) from None
    except Exception as error:  # noqa: BLE001 - zeep raises what it meets in a WSDL: AttributeError, KeyError…
        raise ConfigError(f"it cannot be used as a WSDL ({type(error).__name__})", "wsdl") from None
    if bound is None:
        raise ConfigError("it has no SOAP service", "wsdl")
    return opened.create_service(bound._binding.name.text, config.address) if config.address else bound


def plain(value: Any) -> Json:
    """A value of XML Schema as JSON: times as ISO 8601, decimals as text, bytes in Base64."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal | timedelta):
        return str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
