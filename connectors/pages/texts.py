"""Words of the pages, in plain French and in English; sentences about clocks are in `streams.engine`."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from streams.engine.words import Language

Pair = tuple[str, str]
"""French, English."""


def pick(pair: Pair, language: Language) -> str:
    """The words of a language."""
    return pair[0] if language == "fr" else pair[1]


def of(text: dict[str, Any] | None, language: Language) -> str:
    """The words of a text that has both languages, as the gateway gives it; empty if there is none."""
    return "" if text is None else str(text[language])


def language_of(request: Request) -> Language:
    """The language that the address asks for; French unless it says otherwise."""
    return "en" if request.query_params.get("lang") == "en" else "fr"


TEXTS: dict[str, Pair] = {
    "site": ("Suivi de ma demande", "Follow my request"),
    "skip": ("Aller au contenu", "Go to the content"),
    "other-language": ("English", "Français"),
    "navigation": ("Langue et session", "Language and session"),
    "sections": ("Rubriques", "Sections"),
    "leave": ("Fermer mon suivi", "Close"),
    "print-hint": (
        "Vous pouvez imprimer cette page : elle est prévue pour.",
        "You can print this page: it is made for it.",
    ),
    "accessibility": (
        "Cette page se lit sans JavaScript, au clavier, et avec un lecteur d'écran. Un défaut ? Dites-le à l'administration "
        "qui suit votre demande.",
        "This page works without JavaScript, with the keyboard and with a screen reader. Something wrong? Tell the body that "
        "handles your request.",
    ),
    "accessibility-staff": (
        "Ces pages se lisent sans JavaScript, au clavier, et avec un lecteur d'écran. Un défaut ? Dites-le à l'équipe qui "
        "exploite le bus.",
        "These pages work without JavaScript, with the keyboard and with a screen reader. Something wrong? Tell those who "
        "run the bus.",
    ),
    # -- the form
    "form-title": ("Où en est ma demande ?", "Where is my request?"),
    "form-lead": (
        "Saisissez la référence et le code secret qui vous ont été remis au dépôt de votre demande.",
        "Enter the reference and the secret code that you were given when you filed your request.",
    ),
    "reference": ("Référence de la demande", "Reference of the request"),
    "reference-hint": ("Par exemple : viriat/PC-2027-0012", "For example: viriat/PC-2027-0012"),
    "code": ("Code secret", "Secret code"),
    "code-hint": (
        "Douze lettres et chiffres, par exemple : 7K2M-9QXD-41TB. Majuscules, tirets et espaces ne comptent pas.",
        "Twelve letters and digits, for example: 7K2M-9QXD-41TB. Capitals, hyphens and spaces do not matter.",
    ),
    "show": ("Voir où en est ma demande", "See where my request is"),
    "error-title": ("Il y a un problème", "There is a problem"),
    "error-word": ("Erreur :", "Error:"),
    "wrong": (
        "La référence et le code ne vont pas ensemble. Vérifiez les deux sur le document qui vous a été remis.",
        "The reference and the code do not match. Check both on the document that you were given.",
    ),
    "no-reference": ("Saisissez la référence de la demande.", "Enter the reference of the request."),
    "no-code": ("Saisissez le code secret.", "Enter the secret code."),
    "too-many": (
        "Trop d'essais. Attendez {minutes} minute(s), puis recommencez.",
        "Too many tries. Wait {minutes} minute(s), then try again.",
    ),
    "lost": (
        "Référence ou code perdu ? Adressez-vous au guichet où vous avez déposé votre demande.",
        "Reference or code lost? Ask at the counter where you filed your request.",
    ),
    "closed-session": (
        "Votre suivi s'est fermé après 30 minutes, pour protéger vos informations. Identifiez-vous à nouveau.",
        "Your session closed after 30 minutes, to protect your information. Please enter your details again.",
    ),
    # -- the status
    "refresh": ("Actualiser", "Refresh"),
    "filed-at": ("dossier déposé {body}", "filed with {body}"),
    "request": ("Demande", "Request"),
    "who": ("Qui a votre dossier", "Who has your file"),
    "since": ("Depuis le", "Since"),
    "on": ("le", "on"),
    "colon": (" :", ":"),
    "answer-by": ("Réponse au plus tard le", "Answer at the latest on"),
    "goal-by": ("Objectif de réponse", "Answer aimed for by"),
    "goal-note": ("objectif du service, pas un délai légal", "a service target, not a legal limit"),
    "your-reference": ("Votre référence", "Your reference"),
    "next": ("Prochaine étape :", "Next step:"),
    "way": ("Le chemin de votre demande", "The way of your request"),
    "step-goal": ("Objectif du service : au plus tard le", "Service target: at the latest on"),
    "only-if": ("Seulement dans ce cas :", "Only in this case:"),
    "passages": ("Qui a eu votre dossier", "Who has had your file"),
    "why": ("Pourquoi cette date ?", "Why this date?"),
    "rights": ("Vos droits", "Your rights"),
    "contact": ("À qui parler", "Whom to ask"),
    "phone": ("Téléphone", "Telephone"),
    "mail": ("E-mail", "E-mail"),
    "settling": (
        "Des informations récentes arrivent : cette page peut changer dans les prochaines secondes.",
        "Recent information is on its way: this page may change within seconds.",
    ),
    "done": ("fait", "done"),
    "current": ("en cours", "in progress"),
    "to_come": ("à venir", "to come"),
    "possible": ("possible", "possible"),
    # -- failures
    "failure-back": ("Revenir à l'accueil de la page", "Back to the start"),
    "failure-400": ("Cette demande ne peut pas être lue.", "This request cannot be read."),
    "failure-401": ("Identifiez-vous à nouveau.", "Please sign in again."),
    "failure-403": ("Cette action ne vous est pas ouverte.", "You may not do that."),
    "failure-404": ("Cette page n'existe pas.", "There is no such page."),
    "failure-409": (
        "Ce n'est plus possible : la situation a changé entre-temps.",
        "No longer possible: things have changed meanwhile.",
    ),
    "failure-413": ("Ce formulaire est trop long.", "This form is too long."),
    "failure-429": (
        "Trop d'essais. Attendez quelques minutes, puis recommencez.",
        "Too many tries. Wait some minutes, then try again.",
    ),
    "failure-503": (
        "Le service se prépare ou ne répond pas. Rien n'est perdu : recommencez dans quelques instants.",
        "The service is starting or does not answer. Nothing is lost: try again in a moment.",
    ),
    "failure-500": (
        "Un incident nous empêche d'afficher cette page. Recommencez dans quelques minutes.",
        "A fault keeps us from showing this page. Try again in some minutes.",
    ),
}
