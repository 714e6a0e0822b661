"""What is thrown at the gateway: wrong codes, foreign tokens, and texts that something might take for code."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest

from connectors.gateway import codes
from connectors.gateway.access import changing
from connectors.gateway.app import application
from connectors.gateway.codes import ALPHABET, Limiter, Minter, opens
from schemas import catalog
from tests.support.loop import Town

CASE = "case:viriat/PC-1"
EXAMPLES = sorted((Path(catalog.__file__).parent / "examples").rglob("*.pass.json"))
MARK = "Zz9"
SCRIPT = (
    MARK
    + """<script>alert(1)</script><img src=x onerror=alert(1)>"'`;--' OR 1=1; DROP TABLE x;{{7*7}}${7*7}<%=7%>{% x %}&lt;"""
)
HIDDEN = f"{MARK}\u202eesrever\u2066x\u2069\u200b\u200e"
CONTROL = f"{MARK}\x00\x07\x1b[31m\r\nSet-Cookie: a=b\x7f\x85\u2028"
ADDRESS = f"javascript:{MARK}//https://x"
HOSTILE = (SCRIPT, HIDDEN, CONTROL, ADDRESS)
RAW = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    made = Town(tmp_path)
    yield made
    await made.gateway.pulse.stop()
    made.database.close()


@pytest.fixture
async def http(town: Town) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(application(town.gateway))
    async with httpx2.AsyncClient(transport=transport, base_url="http://relais.test") as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def opened(town: Town, http: httpx2.AsyncClient) -> str:
    """Open a case; the code that the person was given."""
    message = {
        "specversion": "1.0", "id": "1", "source": "viriat/app", "type": "fr.relais.case.opened", "subject": CASE,
        "data": {"occurred_on": "2026-03-02", "procedure": "test.simple"},
    }  # fmt: skip
    headers = bearer(town.tokens["viriat"]) | {"prefer": "access-code"}
    code: str = (await http.post("/v1/events", json=message, headers=headers)).json()["accepted"][0]["access_code"]
    return code


async def test_ten_thousand_wrong_codes_open_nothing(town: Town, http: httpx2.AsyncClient) -> None:
    right = await opened(town, http)
    near = [right[:i] + c + right[i + 1 :] for i in range(len(right)) for c in ALPHABET if right[i] not in (c, "-")]
    wrong = [*near, "", " ", "*", "%", "' OR 1=1 --", right[:-1], right * 2, right + "0", "\0" * 12, "é" * 12]
    wrong += ["".join(secrets.choice(ALPHABET) for _ in range(12)) for _ in range(10_000 - len(wrong))]
    assert right not in wrong
    assert len(wrong) == 10_000
    answers: dict[int, set[bytes]] = {}
    bodies = ("viriat", "gba", "udap", "stranger")
    for n, code in enumerate(wrong):
        said = {"reference": CASE, "code": code}
        answer = await http.post("/v1/exchange", json=said, headers=bearer(town.tokens[bodies[n % 4]]))
        assert b"journey" not in answer.content.replace(b"no journey has", b"")
        answers.setdefault(answer.status_code, set()).add(answer.content)
    assert answers.keys() == {404, 429}
    assert len(answers[404]) == len(answers[429]) == 1
    town.gateway.tries = Limiter(600, 10)
    said = {"reference": CASE, "code": right}
    answer = await http.post("/v1/exchange", json=said, headers=bearer(town.tokens["gba"]))
    assert answer.status_code == 200


async def test_a_body_without_tries_takes_none_from_a_reference(town: Town, http: httpx2.AsyncClient) -> None:
    right = await opened(town, http)
    town.gateway.tries = Limiter(0.01, 3)
    for n in range(50):
        said = {"reference": f"case:viriat/X-{n}" if n < 3 else CASE, "code": "0"}
        await http.post("/v1/exchange", json=said, headers=bearer(town.tokens["stranger"]))
    said = {"reference": CASE, "code": right}
    answer = await http.post("/v1/exchange", json=said, headers=bearer(town.tokens["gba"]))
    assert answer.status_code == 200


def test_the_limiter_gives_tries_back_at_its_rate_and_forgets_only_who_is_long_gone() -> None:
    limiter = Limiter(per_minute=60 * 10_000_000, burst=2)
    assert all(limiter.wait("a") == 0 for _ in range(100))  # ten million a second
    slow = Limiter(per_minute=6, burst=3, room=10)
    assert [slow.wait("a") > 0 for _ in range(5)] == [False, False, False, True, True]
    assert 0 < slow.wait("a") <= 10
    for n in range(9):
        assert slow.wait(f"b{n}") == 0
    assert slow.wait("a") > 0
    for n in range(1_000):
        assert slow.wait(f"c{n}") == 0
        assert slow.wait("a") > 0  # who keeps trying is never the one that is forgotten
    assert len(slow._left) <= 10


def test_an_unknown_reference_costs_as_much_as_a_wrong_code(monkeypatch: pytest.MonkeyPatch) -> None:
    derived: list[int] = []
    compared: list[tuple[bytes, bytes]] = []
    scrypt, compare = codes.scrypt, codes.compare_digest

    def counting(password: bytes, **given: Any) -> bytes:
        derived.append(given["n"])
        return scrypt(password, **given)

    def comparing(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return compare(a, b)

    monkeypatch.setattr(codes, "scrypt", counting)
    monkeypatch.setattr(codes, "compare_digest", comparing)
    minter = Minter(b"a secret of this test")
    known = minter.access_code("viriat/app", CASE, "1")
    derived.clear()
    assert not opens("wrong", [])
    assert not opens("wrong", [known])
    assert opens(minter.code("viriat/app", CASE, "1"), [known])
    assert derived == [2**14] * 3
    assert [len(a) == len(b) == 32 for a, b in compared] == [True] * 3


async def test_a_thousand_foreign_tokens_open_nothing(town: Town, http: httpx2.AsyncClient) -> None:
    await opened(town, http)
    right = town.tokens["viriat"]
    revoked = town.tokens["udap"]
    with changing(town.register) as held:
        bodies = {b: m.model_copy(update={"tokens": ()}) if b == "udap" else m for b, m in held[0].bodies.items()}
        held[0] = held[0].model_copy(update={"bodies": bodies})
    foreign = [
        revoked, right[:-1], right + "A", right.swapcase(), right.upper(), f"{right}, {right}", right.removeprefix("relais_"),
        sha256(right.encode()).hexdigest(), sha256(right.encode()).hexdigest()[:8], "null", "*", "viriat", "' OR ''='",
    ]  # fmt: skip
    foreign += [right[:i] + ("A" if right[i] != "A" else "B") + right[i + 1 :] for i in range(len(right))]
    foreign += ["relais_" + secrets.token_urlsafe(32) for _ in range(1_000 - len(foreign))]
    places = [
        ("GET", f"/v1/journeys/{CASE}"), ("GET", "/v1/inbox"), ("POST", "/v1/events"), ("POST", "/v1/exchange"),
        ("GET", "/v1/inbox/x"), ("POST", "/v1/inbox/x/receive"), ("GET", "/v1/journeys"),
    ]  # fmt: skip
    answers = set()
    for n, token in enumerate(foreign):
        for method, path in places if n < 20 else places[n % len(places) :][:1]:
            answer = await http.request(method, path, headers=bearer(token))
            answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
    assert {status for status, _ in answers} == {401}
    assert (await http.get(f"/v1/journeys/{CASE}", headers=bearer(right))).status_code == 200


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all texts of a JSON value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, (dict, list)):
        for name, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, name))


def put(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """The value with a text in that place."""
    if not path:
        return text
    made = list(value) if isinstance(value, list) else dict(value)
    made[path[0]] = put(made[path[0]], path[1:], text)
    return made


def at(value: Any, path: tuple[Any, ...]) -> Any:
    return at(value[path[0]], path[1:]) if path else value


def examples() -> Iterator[dict[str, Any]]:
    """Sound events of every kind, said by viriat, handed to gba."""
    for file in EXAMPLES:
        message = json.loads(file.read_text())
        if not message["type"].startswith(("fr.relais.case.", "fr.relais.handoff.")):
            continue
        data = message["data"]
        data.pop("from_body", None)
        data["references"] = ["external:hubee:1"]
        for name in ("to", "redirect_to"):
            if name in data:
                data[name] = "gba"
        yield message | {"source": "viriat/app"}


def anew(message: dict[str, Any]) -> dict[str, Any]:
    """The same about another case, and another handoff."""
    number = secrets.token_hex(16)
    handoff = {"handoff": f"handoff:viriat:{number}"} if "handoff" in message["data"] else {}
    return message | {"subject": f"case:viriat/{number}", "id": number, "data": message["data"] | handoff}


async def test_hostile_texts_remain_text(town: Town, http: httpx2.AsyncClient) -> None:
    seen: set[str] = set()
    taken: set[str] = set()
    mine, theirs = bearer(town.tokens["viriat"]), bearer(town.tokens["gba"])
    for text in HOSTILE:
        for message in examples():
            for path in leaves(anew(message)):
                hostile = put(anew(message), path, text)
                answer = await http.post("/v1/events", json=hostile, headers=mine)
                assert answer.status_code in (202, 422, 403), (path, answer.text)
                if answer.status_code != 202:
                    assert answer.headers["content-type"] == "application/problem+json"
                    assert MARK not in answer.text, path
                    continue
                taken.add(str(path[-1]))
                assert path[-1] != "location"
                assert not RAW.search(text), path
                accepted = answer.json()["accepted"][0]
                journey = await http.get(accepted["journey"], headers=mine)
                seen |= check(journey, text)
    cursor, more = "", True
    while more:
        inbox = await http.get("/v1/inbox", params={"cursor": cursor, "limit": 200}, headers=theirs)
        seen |= check(inbox, SCRIPT, ADDRESS)
        cursor, more = inbox.json()["cursor"], inbox.json()["more"]
    assert {"reason", "step", "label"} <= taken
    assert {"reason", "step", "label", "asked"} <= seen


def check(answer: httpx2.Response, *texts: str) -> set[str]:
    """An answer is JSON in which the texts stand unchanged; the names of the fields that hold them."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not RAW.search(answer.text)
    value, found = answer.json(), set()
    for path in leaves(value):
        said: str = at(value, path)
        if MARK in said:
            assert any(text in said for text in texts), path
            found.add(str(next(name for name in reversed(path) if isinstance(name, str))))
    return found
