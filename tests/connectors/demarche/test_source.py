"""Reading dossiers from a platform of our own: every transition once, whatever changes meanwhile, times out, or is deleted."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import pytest
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from connectors.demarche.source import Demarche, DemarcheConfig
from connectors.kit.contract import Batch, ConfigError, Cursor, Record, Unavailable
from connectors.kit.mapper import Mapper
from connectors.kit.stating import Stating
from deploy.connectors import trial
from schemas import codec
from schemas.references import Keys
from tests.connectors.demarche.platform import FIELD, TOKEN, Platform, iso
from tests.support.serving import LOOPBACK

MAP = Path(__file__).parents[3] / "connectors" / "demarche" / "maps" / "demarche.yaml"
Make = Callable[..., Demarche]
NOW = time.time() - 86_400
PATH = "/" + "h" * 30


@pytest.fixture
async def source(platform: Platform) -> AsyncIterator[Make]:
    """Make sources; they are closed afterwards."""
    made: list[Demarche] = []

    def make(**more: Any) -> Demarche:
        fields = {"url": platform.url, "token": TOKEN, "demarche": 12, "outgoing": LOOPBACK}
        made.append(Demarche(DemarcheConfig.model_validate(fields | more)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def taken(one: Demarche, since: Cursor = None, most: int = 1000) -> list[Batch]:
    found: list[Batch] = []
    async with aclosing(one.read(since)) as reading:  # type: ignore[type-var]
        async for batch in reading:
            found.append(batch)
            if len(found) == most:
                break
    return found


def said(batches: list[Batch]) -> list[tuple[str, str | None, str]]:
    records = [r for b in batches for r in b.records if isinstance(r, Record)]
    return [(r.key, r.version, r.content.get("event") or r.content["kind"]) for r in records]


def what(batches: list[Batch]) -> list[str]:
    return [f"{key} {kind}" for key, _, kind in said(batches)]


async def test_the_life_of_a_dossier_each_step_once_and_never_changed(platform: Platform, source: Make) -> None:
    row = platform.deposit(345, NOW)
    correction = platform.correct(345, "incomplete", NOW + 100)
    first = await taken(one := source(fields={"parcours": FIELD}))
    assert what(first) == ["345 depose", "345 correction"]
    correction["dateResolution"] = iso(NOW + 200)
    row.champs[FIELD], row.due = "journey:gba:00", "2026-05-02"
    platform.move(345, "depose_correction_usager", NOW + 200)
    for n, event in enumerate(["passe_en_instruction", "accepte", "repasse_en_instruction", "refuse"], 3):
        platform.move(345, event, NOW + n * 100)
    row.archived = True
    second = await taken(one, first[-1].cursor)
    assert what(second) == [
        "345 depose", "345 correction", "345 depose_correction_usager", "345 correction-resolue", "345 passe_en_instruction",
        "345 accepte", "345 repasse_en_instruction", "345 refuse", "345 archivage", "345/sva-svr sva-svr", "345/champs champs",
    ]  # fmt: skip
    before = {(r.key, r.version): r.content for b in first for r in b.records if isinstance(r, Record)}
    after = {(r.key, r.version): r.content for b in second for r in b.records if isinstance(r, Record)}
    assert before.items() <= after.items()
    assert len(after) == 11
    assert await taken(one, second[-1].cursor) == []


async def test_nothing_of_the_applicant_is_asked_for_or_kept(platform: Platform, source: Make) -> None:
    platform.deposit(1, NOW)
    platform.correct(1, "incorrect", NOW + 1)
    platform.move(1, "refuse", NOW + 2)
    text = repr([asdict(b) for b in await taken(source())])
    for personal in ("untel", "Untel", "impôt", "agent@", "revenus"):
        assert personal not in text
    for question in platform.questions:
        for name in ("usager", "demandeur", "email", "body", "motivation", "champs", "annotations"):
            assert name not in question


@pytest.mark.parametrize("page", [2, 5])
async def test_interrupted_anywhere_and_with_dossiers_that_change_meanwhile(
    platform: Platform, source: Make, page: int
) -> None:
    for number in range(1, 11):
        platform.deposit(
            number, NOW + number // 3, old=number == 4
        )  # several in the same second, and one without transitions
    whole = await taken(source(page=page, together=2))
    assert sorted(what(whole)) == sorted(f"{n} depose" for n in range(1, 11))
    for stop in range(1, len(whole)):
        first = await taken(source(page=page), None, stop)
        platform.move(1, "passe_en_instruction", NOW + 100 + stop)  # it moves behind all the others
        rest = await taken(source(page=page), first[-1].cursor)
        assert {key for key, _, _ in said(first) + said(rest)} == {str(n) for n in range(1, 11)}
        assert [v for k, v, kind in said(rest) if k == "1" and kind == "passe_en_instruction"] == [
            t["id"] for t in platform.rows[1].traitements[1:]
        ]


async def test_a_change_in_the_same_second_is_not_missed(platform: Platform, source: Make) -> None:
    now = float(int(time.time()))
    platform.deposit(1, now)
    first = await taken(one := source())
    platform.move(1, "passe_en_instruction", now + 0.9)
    second = await taken(one, first[-1].cursor)
    assert what(second) == ["1 depose", "1 passe_en_instruction"]
    platform.deposit(2, now - 200)  # visible late
    assert "2 depose" in what(await taken(one, second[-1].cursor))


async def test_the_bin_and_what_leaves_it(platform: Platform, source: Make) -> None:
    for number in (1, 2, 3):
        platform.deposit(number, NOW)
    first = await taken(one := source(page=1))
    platform.hide(1, "user_request", NOW + 10)
    platform.delete(2, "expired", NOW + 20)
    second = await taken(one, first[-1].cursor)
    assert what(second) == ["1 corbeille", "2 suppression"]
    platform.delete(1, "user_request", NOW + 30)
    assert what(await taken(one, second[-1].cursor)) == ["2 suppression", "1 suppression"]  # again, within the overlap

    def delete_between() -> None:
        """After the listing, before the question for its life."""
        if len(platform.questions) == 1:
            platform.delete(3, "manager_request", NOW + 40)

    platform.loose = delete_between
    platform.questions.clear()
    platform.deposit(5, NOW + 50)
    platform.rows[3].updated = NOW + 50
    assert what(await taken(source(page=10), None)) == ["5 depose", "2 suppression", "1 suppression", "3 suppression"]


async def test_a_dossier_that_leaves_the_bin_alive_is_told_once(platform: Platform, source: Make) -> None:
    for number in (1, 2):
        platform.deposit(number, NOW)
    place = (await taken(one := source()))[-1].cursor
    for number in (1, 2):
        platform.hide(number, "user_request", NOW + 10)
    place = (await taken(one, place))[-1].cursor
    assert len(repr(place)) < 1_000
    platform.restore(1, NOW + 20)
    back = await taken(source(), place)
    assert what(back) == ["1 restauration", "1 depose", "2 corbeille"]  # the last one again, within the overlap
    (record,) = [r for b in back for r in b.records if isinstance(r, Record) and r.content["kind"] == "restauration"]
    assert (record.content["reason"], record.content["state"], record.content["date"]) == (
        "user_request", "en_construction", iso(NOW + 20),
    )  # fmt: skip
    assert "1 restauration" not in what(await taken(source(), back[-1].cursor))
    platform.hide(1, "user_request", NOW + 30)  # a second time
    again = await taken(one, back[-1].cursor)
    platform.restore(1, NOW + 40)
    third = await taken(one, again[-1].cursor)
    versions = [v for batches in (back, third) for _, v, kind in said(batches) if kind == "restauration"]
    assert len(set(versions)) == 2
    platform.delete(2, "user_request", NOW + 50)
    gone = await taken(one, third[-1].cursor)
    assert gone[-1].cursor["binned"] == {}


async def test_what_is_too_much_is_asked_for_in_pieces(platform: Platform, source: Make) -> None:
    for number in range(1, 31):
        platform.deposit(number, NOW + number)
    platform.most_details, platform.most_page = 2, 30
    assert what(await taken(source(page=50, together=16))) == [f"{n} depose" for n in range(1, 31)]
    assert max(q.count("{ ...life") for q in platform.questions) == 16
    platform.most_details = 0
    with pytest.raises(Unavailable, match="gave up"):
        await taken(source())
    platform.most_details = 100
    platform.failures = [Response(status_code=504), Response(status_code=504)]
    assert len(said(await taken(source()))) == 30
    slow = source(outgoing=LOOPBACK.model_copy(update={"timeout_s": 0.3}), page=1)
    platform.loose = lambda: time.sleep(0.5)
    with pytest.raises(Unavailable, match="in time"):
        await taken(slow)


async def test_what_errors_mean(platform: Platform, source: Make) -> None:
    def error(code: str, status: int = 200) -> Response:
        return JSONResponse({"errors": [{"message": "Mme Untel", "extensions": {"code": code}}], "data": None}, status)

    for answer in (
        error("internal_server_error", 500),
        error("invalid_null"),
        Response("<html>"),
        Response(status_code=429),
    ):
        platform.failures = [answer]
        with pytest.raises(Unavailable) as told:
            await taken(source())
        assert "Untel" not in str(told.value)
    for answer in (
        error("unauthorized"),
        error("unauthorized", 401),
        error("undefinedField"),
        Response(status_code=422),
    ):
        platform.failures = [answer]
        with pytest.raises(ConfigError) as wrong:
            await taken(source())
        assert "Untel" not in str(wrong.value)
    for fields, word in [({"token": "wrong"}, "403"), ({"demarche": 99}, "demarche"), ({"demarche": 13}, "token")]:
        with pytest.raises(ConfigError, match=word):
            await taken(source(**fields))
        assert not (await source(**fields).check()).ok
    with pytest.raises(ConfigError, match="offsets"):
        await taken(source(), {"listings": {"dossiers": {"line": 1}}})
    platform.deposit(1, NOW)
    report = await source().check()
    assert report.ok, report
    with pytest.raises(ValidationError, match="offset"):
        source(since="2026-01-01T00:00:00")


async def test_a_hint_makes_it_read_at_once(platform: Platform, source: Make) -> None:
    one = source(hints={"port": 0, "path": PATH, "wait_s": 0.5, "pause_s": 0})
    platform.deposit(1, NOW)
    reading = one.read(None)
    assert what([await anext(reading)]) == ["1 depose"]
    form = {"procedure_id": "12", "dossier_id": "1", "state": "en_instruction", "updated_at": "2026-03-01 10:00:00 UTC"}

    async def hint(path: str, form: dict[str, str]) -> int:
        async with httpx2.AsyncClient() as http:
            return (await http.post(f"http://127.0.0.1:{one.hints_port}{path}", data=form)).status_code

    assert await hint("/elsewhere", form) == 404
    assert await hint(PATH, form | {"procedure_id": "13"}) == 204
    assert await hint(PATH, {"procedure_id": "1" * 5000}) == 413
    platform.move(1, "passe_en_instruction", NOW + 400)
    assert await hint(PATH, form) == 204
    assert what([batch async for batch in reading]) == ["1 depose", "1 passe_en_instruction"]
    with pytest.raises(ConfigError, match=r"hints\.path"):
        source(hints={"port": 0, "path": "/short"})


def test_the_mapping_that_comes_with_it() -> None:
    made = Mapper(MAP, "viriat", "demarche", ZoneInfo("Europe/Paris"))
    results = dict(trial.test(made, Stating("viriat", "demarche", codec.events(), Keys(bytes(16)), 1, None)))
    assert results == dict.fromkeys(results, "")
    assert len(results) >= 10
