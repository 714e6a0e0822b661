"""What a message says: plain French, then English. Nothing in it tells who the person is, or which request it is."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from connectors.gateway.words import due_on
from streams.engine.book import Book
from streams.engine.counting import to_date

KINDS = {
    "transfer": ("un dossier pour lequel vous êtes compétent", "a case for which you are competent"),
    "consultation": ("une demande d'avis", "a request for an opinion"),
    "transmission": ("une étape de procédure", "a step of a procedure"),
    "execution": ("une tâche à exécuter", "a task to carry out"),
    "information": ("une information, sans réponse attendue", "an information, no answer is expected"),
}
_OTHER = ("un dossier", "a case")
_MONTHS = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
    "décembre",
)  # fmt: skip

_TEXT = """\
Bonjour,

{from_} vous a transmis {kind_fr}.

{lines_fr}

Merci de le prendre en charge, ou de dire que vous n'êtes pas compétent : tant que rien n'est dit, {from_} le voit comme non reçu.
Ce message est envoyé automatiquement, une seule fois. Il ne contient aucune donnée sur la personne concernée.

--

Hello,

{from_} has handed over to you: {kind_en}.

{lines_en}

Please take it, or say that you are not competent: until then {from_} sees it as not received.
This message is sent by a program, once. It holds no data about the person concerned.
"""


def message(record: Mapping[str, Any], book: Book, sender: str, recipient: str, link: str, id_: str) -> EmailMessage:
    """The message about a handoff record. `link`: where it can be taken, or nothing; `id_`: the same for the same handoff."""
    known = book.body(record["from_body"])
    from_ = _line(known.name if known else record["from_body"])
    kind = KINDS.get(record["kind"], _OTHER)
    title = book.rules(record["procedure"] or "", record["sent_on"]).journey.title
    due = due_on(record)
    fr, en = [f"Démarche : {_line(title.fr)}"], [f"Procedure: {_line(title.en)}"]
    fr.append(f"Transmis le : {_french(record['sent_on'])}")
    en.append(f"Handed over on: {to_date(record['sent_on']).isoformat()}")
    if due is not None:
        fr.append(f"À faire avant la fin du : {_french(due)}")
        en.append(f"Due by the end of: {to_date(due).isoformat()}")
    if link:
        fr.append(f"Pour le prendre en charge : {link}")
        en.append(f"Take it here: {link}")
    made = EmailMessage()
    made["Subject"] = f"{from_} vous a transmis {kind[0]} / has handed over to you: {kind[1]}"
    made["From"] = sender
    made["To"] = recipient
    made["Date"] = formatdate()
    made["Message-ID"] = f"<{id_}@{sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(
        _TEXT.format(from_=from_, kind_fr=kind[0], kind_en=kind[1], lines_fr="\n".join(fr), lines_en="\n".join(en))
    )
    return made


def _line(text: str) -> str:
    """Text of the directory or of a definition as one line: a header has no other."""
    return " ".join(text.split())


def _french(day: int) -> str:
    on = to_date(day)
    number = "1er" if on.day == 1 else str(on.day)
    return f"{number} {_MONTHS[on.month - 1]} {on.year}"
