"""Codes of the bus in the words of those who work with it: states, kinds, reasons."""

from __future__ import annotations

from datetime import date

from streams.engine.book import Book
from streams.engine.counting import to_day

ALERTS = {
    "not-delivered": ("pas remis", "envoyé, personne ne l'a lu"),
    "not-taken": ("pas pris", "lu, ni accepté ni refusé"),
    "silent": ("silence", "accepté, plus rien depuis"),
    "breached": ("délai dépassé", "la date limite est passée"),
    "ping-pong": ("aller-retour", "revenu sans avoir avancé"),
    "conflict": ("contradiction", "une source a dit deux choses différentes"),
    "silent-source": ("source muette", "plus aucune nouvelle de ce logiciel"),
    "waiting-claim": ("lien en attente", "le propriétaire n'a pas répondu"),
}
"""By reason: a word, and what it means."""
HANDOFF_STATES = {
    "sent": "envoyé, pas lu", "received": "lu, pas pris", "accepted": "pris en charge", "refused": "refusé", "returned": "rendu",
    "completed": "terminé", "cancelled": "annulé", "withdrawn": "retiré",
}  # fmt: skip
CASE_STATES = {
    "open": "à l'étude", "waiting_for_person": "attend la personne", "suspended": "suspendu", "decided": "décidé",
    "notified": "notifié", "withdrawn": "retiré", "closed": "clos", "in_progress": "en cours", "ended": "terminé",
}  # fmt: skip
KINDS = {
    "transfer": "transmission (vous êtes compétent)", "consultation": "demande d'avis", "transmission": "étape de la procédure",
    "execution": "exécution", "information": "pour information",
}  # fmt: skip
LETTERS = {
    "unreadable": "illisible", "unknown-schema": "forme inconnue", "unknown-body": "organisme inconnu",
    "not-allowed": "parole non permise", "invalid": "contenu non conforme", "too-large": "trop long",
    "personal-number": "numéro de personne", "after-purge": "dossier déjà effacé", "bug": "défaut de relais",
}  # fmt: skip
"""Reasons of dead letters."""


def body(book: Book, id_: str) -> str:
    """The name of a body."""
    known = book.body(id_)
    return known.name if known else id_


def procedure(book: Book, id_: str | None, today: date) -> str:
    """The title of a procedure."""
    if not id_:
        return "Démarche non précisée"
    journey = book.rules(id_, to_day(today)).journey
    return journey.title.fr if journey.procedure == id_ else id_


def number(case: str) -> str:
    """The number of a case, as its body knows it."""
    return case.partition("/")[2] or case


def limit(book: Book, procedure_id: str | None, rule: str, today: date) -> str:
    """The title of a time limit of a case; empty if the definition has none of that name."""
    journey = book.rules(procedure_id or "", to_day(today)).journey
    titles = {c.id: c.title.fr for c in journey.clocks} | {f"step.{s.id}.promise": s.title.fr for s in journey.steps}
    return titles.get(rule, "")
