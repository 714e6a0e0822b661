"""Kinds of fact that an agent states, and their fields, in the words of agents. A test sees that none is missing."""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "Dire à la personne": {
        "case.acknowledged": "Accuser réception",
        "case.pieces-requested": "Demander des pièces",
        "case.pieces-received": "Enregistrer des pièces reçues",
        "case.decided": "Décider",
        "case.notified": "Notifier la décision",
    },
    "Faire avancer": {
        "case.step-started": "Commencer une étape",
        "case.step-completed": "Terminer une étape",
        "handoff.sent": "Transmettre à un autre organisme",
        "handoff.cancelled": "Annuler une transmission",
    },
    "Changer le délai": {
        "case.suspended": "Suspendre le délai",
        "case.resumed": "Reprendre le délai",
        "case.extended": "Allonger le délai",
    },
    "Finir": {
        "case.closed": "Clore le dossier",
        "case.withdrawn": "Enregistrer un retrait par la personne",
        "case.reopened": "Rouvrir le dossier",
    },
    "Corriger": {
        "correction.linked": "Relier à un autre dossier",
        "correction.unlinked": "Séparer d'un autre dossier",
        "correction.retracted": "Retirer une information saisie ici",
    },
}
"""On a case of one's own."""
ITEM: dict[str, str] = {
    "handoff.received": "Prendre connaissance",
    "handoff.accepted": "Accepter",
    "handoff.refused": "Refuser",
    "handoff.returned": "Rendre",
    "handoff.completed": "Terminer",
}
"""On an item of the inbox."""
OTHER: dict[str, str] = {"case.opened": "Ouvrir un dossier", "alert.acknowledged": "Prendre en charge une alerte"}
TITLES: dict[str, str] = {type_: title for group in (*GROUPS.values(), ITEM, OTHER) for type_, title in group.items()}
"""Every kind of fact that a form is made for."""

FIELDS: dict[str, tuple[str, str]] = {
    "occurred_on": ("Date", "Le jour où c'est arrivé, à la date légale de votre organisme."),
    "kind": ("Nature", ""),
    "complete": ("Le dossier est-il complet ?", ""),
    "admissible": ("La demande est-elle recevable ?", ""),
    "mentions": ("Mentions obligatoires de l'accusé", "Une par ligne."),
    "reason": ("Motif", ""),
    "outcome": ("Décision", ""),
    "signed_on": ("Date de l'acte", "Si elle diffère de la date ci-dessus."),
    "reasons_stated": ("La décision est-elle motivée ?", ""),
    "routes_stated": ("Les voies et délais de recours sont-ils indiqués ?", ""),
    "length": ("Durée ajoutée", "Un nombre entier."),
    "unit": ("Unité de la durée", ""),
    "due_on": ("Date limite", ""),
    "notified_on": ("Date à laquelle la personne en a été avertie", "Si elle diffère de la date ci-dessus."),
    "cause": ("Cause", "Telle que la procédure la nomme."),
    "legal_basis": ("Article appliqué", ""),
    "means": ("Moyen", ""),
    "available_on": ("Date de mise à disposition", "Pour une notification électronique."),
    "channel": ("Comment la demande est arrivée", ""),
    "place": ("Commune concernée", "Code INSEE, par exemple 01053."),
    "received_on": ("Date de réception", "Si elle diffère de la date ci-dessus."),
    "first_received_on": (
        "Date de réception par un premier organisme",
        "S'il n'était pas compétent et vous a transmis.",
    ),
    "pieces": ("Pièces", "Une par ligne, sans nom ni donnée sur une personne."),
    "listed": ("Toutes ces pièces peuvent-elles être exigées ?", ""),
    "step": ("Étape", ""),
    "until": ("Jusqu'au", ""),
    "to": ("Destinataire", ""),
    "redirect_to": ("Organisme que vous croyez compétent", ""),
    "result": ("Résultat", ""),
    "references": ("Dossiers ou références nommés", "Un par ligne, par exemple case:viriat/PC-12."),
    "visibility": ("Qui peut le voir", ""),
    "fact": ("Information à retirer", ""),
    "handoff": ("Transmission", ""),
    "alert": ("Alerte", ""),
    "documents": ("Document joint", "Où le destinataire le trouvera ; le fichier lui-même ne passe pas par ici."),
    "procedure": ("Démarche", ""),
    "number": ("Numéro du dossier chez vous", "Proposé ; remplacez-le par le vôtre si vous en avez un."),
    "case": ("Votre numéro de dossier", "Facultatif : si vous ouvrez un dossier pour ce travail."),
    "known": (
        "Référence d'une demande déjà déposée",
        "Si la personne en apporte une avec son code : les dossiers seront reliés.",
    ),
    "code": ("Code secret de cette demande", ""),
    "label": ("Intitulé", ""),
    "type": ("Format", "Par exemple application/pdf."),
    "size": ("Taille en octets", ""),
    "sha256": ("Empreinte SHA-256", "64 caractères."),
    "location": ("Adresse", ""),
}
"""Label and hint of each field."""
PARTICULAR: dict[tuple[str, str], tuple[str, str]] = {
    ("case.pieces-requested", "due_on"): ("Date limite donnée à la personne", ""),
    ("case.extended", "due_on"): ("Nouvelle date limite", "À la place d'une durée."),
    ("case.pieces-received", "complete"): ("Le dossier est-il complet avec elles ?", ""),
    ("handoff.sent", "due_on"): ("Réponse souhaitée au plus tard le", ""),
    ("alert.acknowledged", "until"): ("Silence jusqu'au", ""),
}
CHOICES: dict[str, str] = {
    "registration": "accusé d'enregistrement électronique", "receipt": "accusé de réception", "done": "fait, terminé",
    "withdrawn": "retiré par la personne", "transferred": "transmis", "abandoned": "abandonné", "duplicate": "doublon",
    "error": "erreur", "granted": "acceptée", "granted_in_part": "acceptée en partie", "refused": "refusée",
    "inadmissible": "irrecevable", "no_further_action": "classée sans suite", "days": "jours", "ouvres": "jours ouvrés",
    "ouvrables": "jours ouvrables", "weeks": "semaines", "months": "mois", "years": "ans", "electronic": "par voie électronique",
    "registered_post": "lettre recommandée", "post": "courrier", "by_hand": "en main propre", "display": "affichage",
    "counter": "au guichet", "phone": "par téléphone", "exchange": "par un échange entre administrations", "appeal": "recours",
    "new_element": "élément nouveau", "court": "décision de justice", "favourable": "favorable",
    "favourable_with_conditions": "favorable avec conditions", "unfavourable": "défavorable", "no_opinion": "sans avis",
    "not_competent": "pas compétent", "incomplete": "incomplet", "unreadable": "illisible", "other": "autre motif",
    "transfer": "transmission à l'organisme compétent", "consultation": "demande d'avis", "transmission": "étape de la procédure",
    "execution": "exécution (paiement, fabrication, travaux)", "information": "pour information",
    "everyone": "la personne et les organismes du parcours", "bodies": "les organismes, pas la personne",
    "person": "la personne, pas les autres organismes", "owner": "votre organisme seul",
}  # fmt: skip
"""Values of closed lists."""
FLAWS: dict[str, str] = {
    "missing-field": "Remplissez ce champ.",
    "empty": "Remplissez ce champ.",
    "wrong-type": "Ce n'est pas la forme attendue.",
    "unknown-body": "Choisissez un organisme de l'annuaire.",
    "not-allowed": "Votre organisme n'est pas habilité à dire cela sur cette démarche.",
    "placeholder-reference": "N'écrivez pas de valeur fictive.",
    "malformed-reference": "Cette référence n'a pas la bonne forme.",
    "missing-reference": "Nommez au moins un dossier.",
    "duplicate-reference": "Le même dossier est nommé deux fois.",
    "references-not-allowed": "Ce dossier ne peut pas être nommé ici.",
    "foreign-subject": "Ce dossier n'est pas le vôtre.",
    "foreign-handoff": "Cette transmission n'est pas la vôtre.",
    "handoff-to-oneself": "Choisissez un autre organisme que le vôtre.",
    "impossible-date": "Cette date n'est pas possible.",
    "future-date": "Cette date est dans l'avenir.",
    "due-before": "Cette date limite précède l'événement.",
    "out-of-range": "Ce nombre n'est pas possible.",
    "too-long": "C'est trop long.",
    "too-many": "Il y en a trop.",
    "control-character": "Retirez les caractères invisibles.",
    "contradiction": "Ces champs se contredisent.",
    "malformed-document": "Complétez la description du document : intitulé, format, taille, empreinte, adresse.",
    "malformed-body": "Choisissez un organisme de l'annuaire.",
    "national-identity-number": "On dirait un numéro de sécurité sociale : retirez-le.",
}
"""What to mend, by code; others say it in general words."""
FLAW = "Corrigez ce champ : sa valeur n'est pas acceptée."
"""What is said of any other code."""
