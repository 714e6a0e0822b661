"""Questions about clocks as people write them, their answers, and the words of every line."""

import json
import string
from typing import Any

import pytest

from schemas import definitions, holidays, library
from schemas.rules import Effect
from streams.engine import words
from streams.engine.clocktypes import Line, Op
from streams.engine.questions import Desk, QuestionError
from streams.engine.sentences import EFFECTS, SENTENCES
from tests.support.clock_tools import asked, day, fact, opened, run, supplied

DESK = Desk(library.load(), definitions.load(), holidays.load())
PERMIT: dict[str, Any] = {
    "rule": "urbanisme.pc-maison/decision",
    "territory": "75056",
    "facts": [
        {"type": "case.opened", "date": "2026-03-02", "channel": "counter"},
        {"type": "case.pieces-requested", "date": "2026-03-31", "pieces": ["PCMI1"]},
        {"type": "case.pieces-received", "date": "2026-04-20", "complete": True},
    ],
}


def test_an_answer_has_the_date_its_reasons_and_its_words() -> None:
    answer = DESK.answer(PERMIT)
    assert (answer["due_on"], answer["due_at"], answer["born_on"]) == (
        "2026-06-20",
        "2026-06-21T00:00:00+02:00",
        "2026-06-21",
    )
    assert (
        answer["summary"]["fr"]
        == "Dernier jour : samedi 20 juin 2026, jusqu'à minuit. Ensuite, la demande est acceptée."
    )
    asked_line = next(line for line in answer["derivation"] if line["op"] == "asked")
    assert asked_line["words"]["fr"] == (
        "Des pièces sont demandées, à fournir au plus tard le mardi 30 juin 2026 ; sinon, la demande est rejetée."
    )
    assert "C. urb. R*423-39" in asked_line["articles"]
    assert asked_line["fact"] == "2"
    assert json.loads(json.dumps(answer)) == answer


def test_the_order_in_which_facts_are_written_does_not_matter() -> None:
    assert (
        DESK.answer({**PERMIT, "facts": [{**f, "id": i} for i, f in enumerate(PERMIT["facts"])][::-1]})["due_on"]
        == "2026-06-20"
    )


def test_a_territory_changes_holidays_and_midnight() -> None:
    question = {"rule": "crpa.aee", "facts": [{"type": "case.opened", "date": "2026-04-02", "channel": "electronic"}]}
    assert DESK.answer(question)["due_on"] == "2026-04-03"
    assert DESK.answer({**question, "territory": "67482"})["due_on"] == "2026-04-07"
    assert DESK.answer({**question, "territory": "67001"})["due_on"] == "2026-04-03"
    assert DESK.answer({**question, "territory": "67001", "local": ["good-friday"]})["due_on"] == "2026-04-07"
    assert DESK.answer({**question, "closures": [["2026-04-03", "2026-04-10"]]})["due_on"] == "2026-04-13"
    assert DESK.answer({**question, "territory": "la-reunion"})["due_at"].endswith("+04:00")


def test_a_rule_can_be_written_out() -> None:
    rule = {"kind": "service", "starts": ["case.opened"], "stops": ["case.closed"], "length": "1 month 15 days"}
    answer = DESK.answer({"rule": rule, "facts": [{"type": "case.opened", "date": "2026-01-31"}]})
    assert answer["due_on"] == "2026-03-15"


def test_today_tells_what_silence_has_done() -> None:
    question = {"rule": "crpa.refusal", "facts": [{"type": "case.opened", "date": "2026-03-02"}]}
    assert DESK.answer({**question, "today": "2026-05-02"})["silence"] is None
    assert DESK.answer({**question, "today": "2026-05-03"})["silence"] == {"effect": "refused", "on": "2026-05-02"}


def test_what_was_not_read_in_force_is_said() -> None:
    question = {
        "rule": "apa.decision",
        "facts": [{"type": "case.acknowledged", "date": "2026-01-14", "complete": True}],
    }
    assert {"article": "CASF L232-14", "mark": "old", "version": "2015-03-22"} in DESK.answer(question)["unverified"]


def test_what_was_not_read_in_force_is_said_of_changes_that_count() -> None:
    facts = [fact_("case.notified", "2026-01-10"), fact_("case.step-started", "2026-02-01", step="reasons")]
    cap = {"article": "CE avis 2 oct. 2025 n° 504677", "mark": "secondary", "version": None}
    assert cap not in DESK.answer({"rule": "cja.appeal", "facts": facts[:1]})["unverified"]
    assert cap in DESK.answer({"rule": "cja.appeal", "facts": facts})["unverified"]


def test_the_time_to_appeal_against_silence_can_be_asked_for() -> None:
    """CE 5 June 2009 n° 312682."""
    answer = DESK.answer({"rule": "cja.appeal", "facts": [fact_("silence", "2007-08-12", effect="refused")]})
    assert answer["due_on"] == "2007-10-15"


def test_a_body_that_never_opens_again_has_until_the_end_of_time() -> None:
    question = {"rule": "crpa.are", "facts": [fact_("case.opened", "2026-03-02", channel="electronic")]}
    assert DESK.answer({**question, "closures": [["2026-01-01", "2400-12-31"]]})["due_on"] == "2400-12-31"


def fact_(type_: str, on: str, **data: Any) -> dict[str, Any]:
    return {"type": type_, "date": on, **data}


def test_a_clock_that_does_not_start_says_so() -> None:
    answer = DESK.answer({"rule": "crpa.refusal", "facts": []})
    assert (answer["state"], answer["summary"]["en"]) == ("not-started", "The time has not started.")
    paper = DESK.answer({"rule": "crpa.aee", "facts": [fact_("case.opened", "2026-03-02", channel="counter")]})
    assert paper["started_by"] == ["case.opened (channel: electronic | exchange)"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rule": "nothing"}, "there is no clock named 'nothing'"),
        ({"rule": 3}, "`rule` is the name"),
        ({"rule": {"length": "soon"}}, "rule.length"),
        ({"rule": "urbanisme.pc-maison/nothing"}, "no clock named"),
        ({"facts": "none"}, "`facts` is a list"),
        ({"facts": [{"type": "case.opened"}]}, "facts.0: a fact has at least"),
        ({"facts": [{"type": "case.opend", "date": "2026-03-02"}]}, "no event type 'case.opend'"),
        ({"facts": [{"type": "case.opened", "date": "02/03/2026"}]}, "facts.0.date: a date reads"),
        ({"facts": [{"type": "case.opened", "date": "2026-03-02", "received_on": "x"}]}, "facts.0.received_on"),
        (
            {"facts": [{"type": "case.notified", "date": "2026-03-02", "notified_on": "2026-03-03"}]},
            "no field 'notified_on'",
        ),
        (
            {"facts": [{"type": "case.opened", "date": "2026-03-02", "channel": "pigeon"}]},
            "case.opened.channel is never",
        ),
        ({"territory": "Paris"}, "there is no territory 'Paris'"),
        ({"zone": "Europe/Lutetia"}, "there is no time zone"),
        ({"closures": [["2026-03-02"]]}, "closures.0: first and last day"),
        ({"closures": [["2026-03-02", "2026-03-01"]]}, "closures.0: the last day lies before the first"),
        ({"closures": "always"}, "`closures` is a list of pairs"),
        ({"local": ["good-fridai"]}, "kept in some communes only: abolition-of-slavery-by-code, good-friday"),
        ({"local": "good-friday"}, "`local` is a list"),
        ({"territory": 516}, "`territory` is a text, in quotes"),  # what YAML makes of 01004
        ({"territory": "99999"}, "there is no territory '99999'"),
        ({"territory": "20004"}, "there is no territory '20004'"),
        ({"zone": "Europe"}, "there is no time zone"),
        ({"zone": 5}, "there is no time zone"),
        ({"facts": [{"type": "case.opened", "date": "2026-W10-1"}]}, "facts.0.date: a date reads"),
        ({"facts": [{"type": "case.opened", "date": "9999-12-31"}]}, "between 1800-01-01 and 2400-12-31"),
        (
            {"facts": [{"type": "case.opened", "date": "2010-03-02"}]},
            "no version of 'urbanisme.pc-maison' is in force on 2010",
        ),
        (
            {"rule": {"kind": "service", "starts": ["case.opend"], "stops": [], "length": "1 day"}},
            "rule: there is no event type",
        ),
        ({"today": "now"}, "today: a date reads"),
        ({"colour": "red"}, "there is no key 'colour'"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(change: dict[str, Any], said: str) -> None:
    with pytest.raises(QuestionError) as caught:
        DESK.answer({**PERMIT, **change})
    assert any(said in problem for problem in caught.value.problems)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(QuestionError) as caught:
        DESK.answer({"rule": "nothing", "facts": [{"type": "x", "date": "y"}], "colour": 1})
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize("op", list(Op))
def test_every_operator_has_its_sentence(op: Op) -> None:
    names = {name for text in SENTENCES[op] for _, name, _, _ in string.Formatter().parse(text) if name}
    values = {"length": ((2, "months"),), "effect": "refused", "whose": "first-body", "cause": "x"}
    params = tuple((name, values.get(name, day("2026-03-02"))) for name in sorted(names) if name != "change")
    line = Line(op, day("2026-03-02"), b"k", (), params)
    told = [words.line_in_words(line, language) for language in ("fr", "en")]
    assert told[0] != told[1]
    assert all(text.endswith(".") and "{" not in text and not text[0].islower() for text in told)


def test_every_effect_has_its_words() -> None:
    assert set(EFFECTS) == {effect.value for effect in Effect}
    assert words.to_do_in_words("granted", "fr") is not None


def test_dates_and_lengths_in_words() -> None:
    assert words.day_in_words(day("2026-06-01"), "fr") == "lundi 1er juin 2026"
    assert words.day_in_words(day("2026-06-01"), "en") == "Monday 1 June 2026"
    assert words.length_in_words(((1, "months"), (15, "ouvres")), "fr") == "1 mois et 15 jours ouvrés"


def test_an_explanation_is_the_same_every_time() -> None:
    facts = [fact(opened, "2026-03-02"), fact(asked, "2026-03-31"), fact(supplied, "2026-04-20", complete=True)]
    found = run("urb.decision", *facts, explain=True)
    assert words.explained(found, "fr") == words.explained(found, "fr")
    assert words.explained(found, "fr")[0].startswith("lundi 2 mars 2026 – Le délai part le lundi 2 mars 2026.")
    late = run("urb.decision", *facts, fact("case.notified", "2026-07-01"))
    assert words.summary(late, "fr").endswith(
        "Le silence avait produit son effet le dimanche 21 juin 2026 : la demande est acceptée."
    )
    paused = run("urb.dia", fact(opened, "2026-03-02"), fact(asked, "2026-03-10"))
    assert words.summary(paused, "en") == "The time is not running at present."
