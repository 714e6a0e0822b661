"""An old business application: a SOAP 1.1 service that takes nothing but what its schema allows, and answers by it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from lxml import etree
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.soap.service import Faults
from connectors.soap.sink import SoapSink, SoapSinkConfig
from connectors.soap.source import SoapSource, SoapSourceConfig
from tests.support.serving import LOOPBACK, Switched

FOLDER = Path(__file__).with_name("metier")
WSDL = FOLDER / "metier.wsdl"
SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
NS = "{urn:metier:1}"


class Application:
    """Its files, what it was told, and what it answers next."""

    def __init__(self) -> None:
        self.schema = etree.XMLSchema(etree.parse(str(FOLDER / "metier.xsd")))
        self.rows: list[tuple[str, str, str, int]] = []
        """Number, state, instant, version."""
        self.told: dict[str, tuple[str, str | None]] = {}
        self.calls: list[str] = []
        self.failures: list[Response] = []
        self.app = Starlette(routes=[Route("/soap", self.answer, methods=["POST"])])

    async def answer(self, request: Request) -> Response:
        self.calls.append(request.headers["soapaction"].strip('"').rpartition("/")[2])
        if self.failures:
            return self.failures.pop(0)
        parser = etree.XMLParser(resolve_entities=False, no_network=True)
        envelope = etree.fromstring(await request.body(), parser)
        [asked] = envelope.find(f"{SOAP}Body")
        if not self.schema.validate(asked):
            return fault("soap:Client", "Schema")
        handler = {f"{NS}ListerModifies": self.listed, f"{NS}DeposerTransmission": self.deposited}[asked.tag]
        body = handler(asked)
        self.schema.assertValid(body)
        return reply(body)

    def listed(self, asked: etree._Element) -> etree._Element:
        since = datetime.fromisoformat(asked.findtext(f"{NS}depuis") or "")
        answer = etree.Element(f"{NS}ListerModifiesReponse", nsmap={None: NS[1:-1]})
        for number, state, at, version in self.rows:
            if datetime.fromisoformat(at) >= since:
                row = etree.SubElement(answer, f"{NS}dossier", version=str(version))
                for name, text in (("numero", number), ("etat", state), ("modifie", at), ("montant", "12.50")):
                    etree.SubElement(row, NS + name).text = text
        etree.SubElement(answer, f"{NS}reste").text = "0"
        return answer

    def deposited(self, asked: etree._Element) -> etree._Element:
        key = asked.findtext(f"{NS}cle") or ""
        self.told.setdefault(key, (asked.findtext(f"{NS}numero") or "", asked.findtext(f"{NS}objet")))
        answer = etree.Element(f"{NS}DeposerTransmissionReponse", nsmap={None: NS[1:-1]})
        etree.SubElement(answer, f"{NS}accuse").text = "recu"
        return answer


def reply(body: etree._Element, status: int = 200) -> Response:
    envelope = etree.Element(f"{SOAP}Envelope", nsmap={"soap": SOAP[1:-1]})
    etree.SubElement(envelope, f"{SOAP}Body").append(body)
    return Response(
        etree.tostring(envelope, xml_declaration=True, encoding="ISO-8859-1"), status, media_type="text/xml"
    )


def fault(code: str, detail: str = "", text: str = "le dossier de Jeanne MARTIN") -> Response:
    body = etree.Element(f"{SOAP}Fault", nsmap={"soap": SOAP[1:-1]})
    etree.SubElement(body, "faultcode").text = code
    etree.SubElement(body, "faultstring").text = text
    if detail:
        etree.SubElement(etree.SubElement(body, "detail"), NS + detail)
    return reply(body, 500)


MAPPING = """
case: "'R-' & numero"
events:
  - states: case.opened
    on: $date(modifie)
"""
BEGIN = datetime(2020, 1, 1)  # noqa: DTZ001 - this application writes local times


class SoapPlace(Switched):
    """The application as the contract of sources handles a system; it writes local times without an offset."""

    mapping = MAPPING
    zone = "America/Cayenne"

    def __init__(self) -> None:
        self.application = Application()
        super().__init__(self.application.app)

    @property
    def service(self) -> str:
        return f"{self.address}/soap"

    def source(self) -> SoapSource:
        return self.used_by(SoapSource(source_config(self.service)))

    async def write(self, numbers: Iterable[int], at: datetime) -> None:
        local = at.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None).isoformat(timespec="seconds")
        self.application.rows += [(str(number), "DEPOSE", local, 1) for number in numbers]

    async def write_bad(self) -> None:
        self.application.rows.append(("", "DEPOSE", "2026-01-02T10:00:00", 1))


def source_config(address: str, **more: object) -> SoapSourceConfig:
    known = {
        "wsdl": WSDL, "address": address, "operation": "ListerModifies", "arguments": {"service": "ADS"}, "since": "depuis",
        "begin": BEGIN, "records": "/dossier", "key": "/numero", "version": "/version", "changed": "/modifie", "out": LOOPBACK,
        "faults": Faults(unavailable=("Maintenance",), configuration=("ServiceFerme",)),
    }  # fmt: skip
    return SoapSourceConfig.model_validate(known | more)


class SoapSinkPlace(SoapPlace):
    """The application as the contract of sinks handles a receiver."""

    keeps_states = True
    receipts = True

    def sink(self) -> SoapSink:
        arguments = {"cle": "id", "numero": "content.state", "objet": "content.from_case"}
        config = {"wsdl": WSDL, "address": self.service, "operation": "DeposerTransmission", "arguments": arguments}
        made = SoapSink(SoapSinkConfig.model_validate({**config, "states": (), "out": LOOPBACK}))
        return self.used_by(made)

    async def received(self) -> list[dict[str, str]]:
        return [{"id": id_, "state": state} for id_, (state, _) in self.application.told.items()]
