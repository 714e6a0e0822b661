"""The gateway from outside, by HTTP: state facts, take handoffs, ask; and every way in which that is refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connectors.gateway.app import application
from connectors.gateway.bus import Bus, BusConfig, Order
from connectors.gateway.problems import ProblemError
from tests.support.loop import BODIES, Town

TODAY = date.today()  # noqa: DTZ011 - legal dates are local
HANDOFF = "handoff:viriat:" + "0a" * 16
CASE = "case:viriat/PC-1"
Answer = httpx2.Response


class Client:
    """Speaks for bodies."""

    def __init__(self, town: Town, http: httpx2.AsyncClient) -> None:
        self.town, self.http = town, http

    def headers(self, body: str, **more: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.town.tokens.get(body, body)}"} | more

    async def post(self, body: str, path: str, said: Any = None, **headers: str) -> Answer:
        return await self.http.post(path, json=said, headers=self.headers(body, **headers))

    async def get(self, body: str, path: str, **params: Any) -> Answer:
        return await self.http.get(path, params=params or None, headers=self.headers(body))

    async def state(self, body: str, *messages: dict[str, Any], **headers: str) -> Answer:
        return await self.post(body, "/v1/events", list(messages) if len(messages) > 1 else messages[0], **headers)


def event(type_: str, subject: str, id_: str, day: date = TODAY, **data: Any) -> dict[str, Any]:
    body = subject.removeprefix("case:").split("/")[0]
    return {
        "specversion": "1.0", "id": id_, "source": f"{body}/app", "type": f"fr.relais.{type_}", "subject": subject,
        "data": {"occurred_on": day.isoformat(), **data},
    }  # fmt: skip


OPENED = event("case.opened", CASE, "1", procedure="test.simple")
SENT = event("handoff.sent", CASE, "2", handoff=HANDOFF, to="gba", kind="transfer")


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    town = Town(tmp_path)
    transport = httpx2.ASGITransport(application(town.gateway))
    async with httpx2.AsyncClient(transport=transport, base_url="http://relais.test") as http:
        yield Client(town, http)
    await town.gateway.pulse.stop()
    town.database.close()


def problem(answer: Answer, status: int, kind: str) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert (answer.status_code, found["status"], found["type"].rpartition("/")[2]) == (status, status, kind), found
    return found


async def test_an_event_is_taken_and_its_journey_can_be_asked_for(client: Client) -> None:
    answer = await client.state("viriat", OPENED)
    assert answer.status_code == 202
    (receipt,) = answer.json()["accepted"]
    assert receipt == receipt | {"id": "1", "source": "viriat/app", "subject": CASE, "journey": f"/v1/journeys/{CASE}"}
    journey = (await client.get("viriat", receipt["journey"])).json()
    (case,) = journey["cases"]
    (clock,) = case["clocks"]
    assert (case["case"], case["state"], clock["state"]) == (CASE, "open", "running")
    assert clock["due_on"] == (TODAY + timedelta(days=10)).isoformat()
    assert clock["derivation"]
    assert all(line["text"]["fr"] and line["text"]["en"] for line in clock["derivation"])
    assert [(s["step"], s["state"]) for s in journey["steps"]] == [("examination", "current")]
    again = await client.state("viriat", OPENED)
    assert again.json() == answer.json()
    assert (await client.get("viriat", receipt["journey"])).json() == journey


async def test_a_case_with_any_number_is_found(client: Client) -> None:
    for number in ("A/../B", "1//2", "é?#%", "/A7"):
        subject = f"case:viriat/{number}"
        answer = await client.state("viriat", event("case.opened", subject, number.encode().hex()))
        path = answer.json()["accepted"][0]["journey"]
        assert (await client.get("viriat", path)).json()["cases"][0]["case"] == subject


async def test_a_batch_is_taken_whole_or_not_at_all(client: Client) -> None:
    wrong = SENT | {"data": SENT["data"] | {"to": "viriat", "occurred_on": "2999-01-01"}}
    found = problem(await client.state("viriat", OPENED, wrong), 422, "unsound-event")
    assert {(p["index"], p["field"]) for p in found["problems"]} == {(1, "data.to"), (1, "data.occurred_on")}
    problem(await client.get("viriat", f"/v1/journeys/{CASE}"), 404, "not-found")
    headers = {"content-type": "application/cloudevents-batch+json"}
    batch = json.dumps([OPENED, SENT])
    answer = await client.http.post("/v1/events", content=batch, headers=client.headers("viriat") | headers)
    assert [a["id"] for a in answer.json()["accepted"]] == ["1", "2"]


async def test_prefer_wait_answers_once_it_shows(client: Client) -> None:
    answer = await client.state("viriat", OPENED, prefer="wait=5")
    assert (answer.status_code, answer.json()["shown"]) == (200, True)
    assert answer.headers["preference-applied"] == "wait=5"


def at(**changes: Any) -> dict[str, Any]:
    return OPENED | changes


UNSOUND: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "no event": ({}, 422, "specversion", "not-an-event"),
    "unknown type": (at(type="fr.relais.case.eaten"), 422, "type", "unknown-type"),
    "unknown field": (at(data={"occurred_on": "2026-01-01", "colour": 1}), 422, "data.colour", "unknown-field"),
    "no date": (at(data={}), 422, "data.occurred_on", "missing-field"),
    "another body": (at(source="gba/app"), 403, "source", "foreign-source"),
    "another body's case": (at(subject="case:gba/1"), 403, "subject", "foreign-subject"),
    "placeholder": (at(subject="case:viriat/N/A"), 422, "subject", "placeholder-reference"),
    "unknown addressee": (SENT | {"data": SENT["data"] | {"to": "nobody"}}, 422, "data.to", "unknown-body"),
    "too large": (at(subject="case:viriat/" + "é" * 90_000), 422, "", "too-large"),
}


@pytest.mark.parametrize("name", UNSOUND)
async def test_a_problem_names_field_and_mend(client: Client, name: str) -> None:
    said, status, field, code = UNSOUND[name]
    answer = await client.state("viriat", said)
    found = problem(answer, status, "not-allowed" if status == 403 else "unsound-event")
    assert (field, code) in [(p["field"], p["code"]) for p in found["problems"]]
    assert all(p["mend"] and "index" not in p for p in found["problems"])


async def test_a_policy_says_what_a_body_may_state(client: Client) -> None:
    mine = "case:udap/1"
    allowed = await client.state("udap", event("case.opened", mine, "1", procedure="test.simple"))
    assert allowed.status_code == 202
    for message in (
        event("case.opened", mine, "2", procedure="apa"),
        event("source.heartbeat", "body:udap", "3") | {"source": "udap/app"},
    ):
        found = problem(await client.state("udap", message), 403, "not-allowed")
        assert found["problems"][0]["code"] == "not-allowed"


async def test_what_a_body_says_of_itself_is_reference_data(client: Client) -> None:
    beat = event("source.heartbeat", "body:viriat", "b", every=60) | {"source": "viriat/app"}
    (receipt,) = (await client.state("viriat", beat)).json()["accepted"]
    assert "journey" not in receipt
    assert [o.key for o in client.town.bus.reference] == [b"source.heartbeat|viriat|viriat/app"]


async def test_requests_that_cannot_be_read(client: Client) -> None:
    async def send(content: bytes, kind: str = "application/json", body: str = "viriat") -> Answer:
        return await client.http.post(
            "/v1/events", content=content, headers=client.headers(body, **{"content-type": kind})
        )

    for content in (
        b"",
        b"{",
        b"\xff",
        b'{"a": NaN}',
        b"[" * 100_000,
        b"[]",
        b"1" * 5_000,
        b'{"a":' * 30 + b"1" + b"}" * 30,
    ):
        problem(await send(content), 400, "malformed-request")
    problem(await send(b"{}", "text/plain"), 415, "unsupported-media-type")
    problem(await send(b"{}", "application/cloudevents-batch+json"), 400, "malformed-request")
    problem(await send(b" " * 1_100_000), 413, "too-large")
    problem(await send(b"{}", body="wrong"), 401, "unauthenticated")
    problem(await send(b"{}", body="operator"), 403, "not-allowed")
    problem(await client.http.get("/nowhere"), 404, "not-found")
    problem(await client.http.put("/v1/events"), 405, "method-not-allowed")


async def test_nobody_sees_more_by_naming_somebody_elses_case(client: Client) -> None:
    await client.state("viriat", OPENED, SENT)
    claim = event("case.opened", "case:stranger/9", "9", references=[CASE, HANDOFF])
    await client.state("stranger", claim)
    unknown = await client.get("stranger", "/v1/journeys/case:viriat/PC-2")
    for reference in (CASE, HANDOFF):
        answer = await client.get("stranger", f"/v1/journeys/{reference}")
        assert (answer.status_code, answer.content) == (404, unknown.content)
    own = (await client.get("stranger", "/v1/journeys/case:stranger/9")).json()
    assert [c["body"]["id"] for c in own["cases"]] == ["stranger"]
    problem(await client.get("viriat", "/v1/journeys/nonsense"), 400, "malformed-request")
    problem(await client.get("nobody", f"/v1/journeys/{CASE}"), 401, "unauthenticated")
    everything = (await client.get("operator", f"/v1/journeys/{CASE}")).json()
    assert everything["handoffs"][0]["record"]["handoff"] == HANDOFF


async def test_foreign_tokens_open_nothing(client: Client) -> None:
    await client.state("viriat", OPENED)
    for n in range(1_000):
        token = f"relais_{n:043d}"
        client.town.gateway.access.grant(token)
        assert client.town.gateway.access.grant(token) is None
    for header in ("", "Bearer", "Basic x", "Bearer " + "x" * 600, f"bearer  {client.town.tokens['viriat']}x"):
        answer = await client.http.get(f"/v1/journeys/{CASE}", headers={"authorization": header})
        assert answer.headers["www-authenticate"] == "Bearer"
        problem(answer, 401, "unauthenticated")


async def test_an_item_of_the_inbox_from_sent_to_completed(client: Client) -> None:
    start = (await client.get("gba", "/v1/inbox")).json()
    assert start["items"] == []
    waiting = asyncio.create_task(client.get("gba", "/v1/inbox", cursor=start["cursor"], wait=20))
    await client.state("viriat", OPENED, SENT)
    page = (await waiting).json()
    (item,) = page["items"]
    assert (item["handoff"], item["from"]["name"], item["state"]) == (HANDOFF, "Mairie de Viriat", "sent")
    assert item["due_on"] == (TODAY + timedelta(days=3)).isoformat()
    assert (await client.get("viriat", f"/v1/journeys/{HANDOFF}")).json()["handoffs"][0]["record"]["contact"] == {
        "service": "Urbanisme", "phone": "04 00 00 00 01",
    }  # fmt: skip
    path = f"/v1/inbox/{HANDOFF}"
    problem(await client.post("udap", f"{path}/receive"), 404, "not-found")
    problem(await client.post("gba", f"{path}/eat"), 404, "not-found")
    for action, state in (("receive", "received"), ("accept", "accepted"), ("complete", "completed")):
        answer = await client.post("gba", f"{path}/{action}", {"result": "done"} if action == "complete" else None)
        assert answer.status_code == 202, answer.json()
        assert answer.json()["accepted"][0]["subject"] == f"case:gba/{HANDOFF}"
        assert (await client.get("gba", path)).json()["state"] == state
        twice = await client.post("gba", f"{path}/{action}")
        assert (twice.status_code, twice.json()) == (200, {"accepted": []})
    problem(await client.post("gba", f"{path}/refuse", {"reason": "incomplete"}), 409, "conflict")
    seen = (await client.get("gba", "/v1/inbox", cursor=page["cursor"])).json()
    assert [(i["state"], i["result"]) for i in seen["items"]] == [("completed", "done")]
    both = (await client.get("viriat", f"/v1/journeys/{CASE}")).json()
    assert [(c["body"]["id"], c["neutral"]) for c in both["cases"]] in (
        [("viriat", False), ("gba", True)],
        [("gba", True), ("viriat", False)],
    )


async def test_refusing_needs_a_reason_and_may_name_a_case_of_ones_own(client: Client) -> None:
    await client.state("viriat", OPENED, SENT)
    path = f"/v1/inbox/{HANDOFF}/refuse"
    found = problem(await client.post("gba", path), 422, "unsound-event")
    assert [p["field"] for p in found["problems"]] == ["data.reason"]
    problem(await client.post("gba", path, {"reason": "other", "case": 7}), 422, "unsound-event")
    problem(await client.post("gba", path, {"reason": "other", "case": "case:viriat/1"}), 403, "not-allowed")
    problem(await client.post("gba", path, [1]), 400, "malformed-request")
    said = {"reason": "not_competent", "redirect_to": "udap", "case": "case:gba/77"}
    assert (await client.post("gba", path, said)).json()["accepted"][0]["subject"] == "case:gba/77"
    item = (await client.get("gba", f"/v1/inbox/{HANDOFF}")).json()
    assert (item["state"], item["result"], item["redirect_to"], item["to_case"]) == (
        "refused", "not_competent", "udap", "case:gba/77",
    )  # fmt: skip


@pytest.mark.parametrize("query", ["cursor=x", "limit=0", "limit=x", "wait=99", "wait=-1", "limit=1e3"])
async def test_questions_to_the_inbox_that_make_no_sense(client: Client, query: str) -> None:
    answer = await client.http.get(f"/v1/inbox?{query}", headers=client.headers("gba"))
    problem(answer, 400, "malformed-request")


async def test_the_code_of_a_person_opens_a_journey_at_another_counter(client: Client) -> None:
    first = await client.state("viriat", OPENED, prefer="access-code")
    code = first.json()["accepted"][0]["access_code"]
    assert (await client.state("viriat", OPENED, prefer="access-code")).json() == first.json()
    journey = (await client.get("viriat", f"/v1/journeys/{CASE}")).text
    assert "journey:" not in journey
    assert code not in journey
    said = {"reference": CASE, "code": code.lower().replace("-", " ")}
    answer = await client.post("stranger", "/v1/exchange", said)
    assert answer.status_code == 200, answer.json()
    secret = answer.json()["journey"]
    assert secret.startswith("journey:viriat:")
    await client.state("stranger", event("case.opened", "case:stranger/9", "9", references=[secret]))
    joined = (await client.get("stranger", "/v1/journeys/case:stranger/9")).text
    assert {c["body"]["id"] for c in json.loads(joined)["cases"]} == {"viriat", "stranger"}
    assert secret not in joined
    wrong = await client.post("udap", "/v1/exchange", {"reference": CASE, "code": "AAAA-AAAA-AAAA"})
    unknown = await client.post("udap", "/v1/exchange", {"reference": "case:viriat/none", "code": code})
    assert wrong.content == unknown.content
    problem(wrong, 404, "not-found")


async def test_who_tries_codes_is_slowed_down(client: Client) -> None:
    await client.state("viriat", OPENED, prefer="access-code")
    seen = {
        (await client.post("gba", "/v1/exchange", {"reference": CASE, "code": f"{n:012d}"})).status_code
        for n in range(12)
    }
    assert seen == {404, 429}
    answer = await client.post("udap", "/v1/exchange", {"reference": CASE, "code": "x"})
    assert int(answer.headers["retry-after"]) > 0
    problem(answer, 429, "too-many-requests")


async def test_an_alert_is_for_both_bodies_of_a_handoff(client: Client) -> None:
    past = TODAY - timedelta(days=9)
    sent = event("handoff.sent", CASE, "2", past, handoff=HANDOFF, to="gba", kind="transfer")
    await client.state("viriat", event("case.opened", CASE, "1", past, procedure="test.simple"), sent)
    client.town.bus.settle(time.time_ns() // 1_000_000 + 1_000)
    for body in ("viriat", "gba"):
        (alert,) = (await client.get(body, f"/v1/journeys/{HANDOFF}")).json()["alerts"]
        assert (alert["reason"], alert["body"]["id"], alert["other"]["id"]) == ("not-delivered", "gba", "viriat")
        said = event("alert.acknowledged", f"case:{body}/PC-1", "a", alert=alert["alert"])
        assert (await client.state(body, said)).status_code == 202


async def test_probes_metrics_and_document_need_no_token(client: Client) -> None:
    assert (await client.http.get("/livez")).status_code == 200
    assert (await client.http.get("/readyz")).status_code == 200
    await client.state("viriat", OPENED)
    text = (await client.http.get("/metrics")).text
    assert 'relais_gateway_answers_total{operation="post-events",status="202"}' in text
    assert not [b.id for b in BODIES if b.id in text]
    document = (await client.http.get("/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    answer = await client.get("viriat", f"/v1/journeys/{CASE}")
    assert (answer.headers["cache-control"], answer.headers["x-content-type-options"]) == ("no-store", "nosniff")


async def test_a_bus_that_does_not_answer_asks_to_come_back(client: Client) -> None:
    client.town.gateway.bus = Bus(BusConfig(brokers="127.0.0.1:1", timeout_s=0.2))
    answer = await client.state("viriat", OPENED)
    assert answer.headers["retry-after"] == "5"
    problem(answer, 503, "unavailable")
    problem(await client.http.get("/readyz"), 503, "unavailable")


async def test_a_bus_that_cannot_keep_up_asks_to_come_back() -> None:
    bus = Bus(BusConfig(brokers="", max_waiting_bytes=10))
    bus._waiting = 8
    with pytest.raises(ProblemError) as caught:
        await bus.write([Order("case-events", 0, b"key", b"value")])
    assert (caught.value.status, caught.value.headers) == (429, {"Retry-After": "1"})
