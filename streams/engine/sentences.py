"""The sentences of derivations, in French and in English, by operator. Parameters are put into words by `words`."""

from __future__ import annotations

from streams.engine.clocktypes import Op

SENTENCES: dict[Op, tuple[str, str]] = {
    Op.STARTED: ("Le délai part le {day}.", "The time starts on {day}."),
    Op.STARTED_ELSEWHERE: (
        "La réception qui compte est celle de {whose} : le {day}, et non le {own}.",
        "The receipt that counts is that of {whose}: {day}, not {own}.",
    ),
    Op.COUNTED: (
        "{length} à compter du {start} : dernier jour le {end}, jusqu'à minuit.",
        "{length} from {start}: the last day is {end}, until midnight.",
    ),
    Op.COUNTED_BACK: (
        "{length} avant le {start} : dernier jour le {end}, jusqu'à minuit.",
        "{length} before {start}: the last day is {end}, until midnight.",
    ),
    Op.FRANC: (
        "Délai franc : ni le premier ni le dernier jour ne comptent, donc le {end}.",
        "Neither the first nor the last day counts, so {end}.",
    ),
    Op.ROLLED: (
        "Le délai ne finit pas un jour non travaillé : du {end}{holiday}, il est prolongé au {due}.",
        "A limit does not end on a day off: from {end}{holiday} it moves to {due}.",
    ),
    Op.CAPPED: ("Au plus tard le {due}, quoi qu'il arrive.", "On {due} at the latest, whatever happens."),
    Op.MIN_REMAINING: (
        "À la reprise, un temps minimum reste dû : fin le {due}.",
        "When it resumes a least time is due: the end is {due}.",
    ),
    Op.PAUSE_COUNTED: (
        "Du {first} au {last}, le délai n'a pas couru : fin reportée au {due}.",
        "From {first} to {last} the time did not run: the end moves to {due}.",
    ),
    Op.DUE: ("Dernier jour à ce stade : {due}.", "The last day at this point: {due}."),
    Op.BIRTH: (
        "Sans autre événement avant la fin du {due}, {effect}{dated}.",
        "If nothing else happens before the end of {due}, {effect}{dated}.",
    ),
    Op.ASKED: ("Des pièces sont demandées{limit}.", "Documents are asked for{limit}."),
    Op.ASKED_LATE: (
        "Demande de pièces trop tardive (possible jusqu'au {last}) : sans effet sur le délai.",
        "Documents asked for too late (possible until {last}): no effect on the time.",
    ),
    Op.ASKED_UNLISTED: (
        "Aucune des pièces demandées ne peut être exigée : sans effet sur le délai.",
        "None of the documents asked for may be required: no effect on the time.",
    ),
    Op.ASKED_WITHOUT_LIMIT: (
        "La demande de pièces ne fixe pas de délai : elle ne suspend rien.",
        "The request for documents sets no time to answer: it suspends nothing.",
    ),
    Op.LIMIT_BEFORE_REQUEST: (
        "La date limite indiquée ({limit}) précède l'événement : sans effet.",
        "The date given ({limit}) lies before the event: no effect.",
    ),
    Op.SUPPLIED: ("Les pièces sont complètes le {day}.", "The documents are complete on {day}."),
    Op.SUPPLIED_UNASKED: (
        "Des pièces arrivent sans demande en cours : sans effet sur le délai.",
        "Documents arrive that no pending request asked for: no effect on the time.",
    ),
    Op.SUPPLIED_LATE: (
        "Les pièces arrivent après la limite du {limit} : {effect}.",
        "The documents arrive after the limit of {limit}: {effect}.",
    ),
    Op.SUSPENDED: ("Le délai est suspendu{until}.", "The time is suspended{until}."),
    Op.SUSPENDED_AGAIN: (
        "Nouvelle suspension pendant une suspension : elles ne comptent qu'une fois.",
        "Suspended while suspended: it counts once.",
    ),
    Op.SUSPENDED_ONCE_ONLY: (
        "Une seule suspension est permise : celle-ci est sans effet.",
        "Only one suspension is allowed: this one has no effect.",
    ),
    Op.RESUMED: ("Le délai reprend le {day}.", "The time runs again from {day}."),
    Op.RESUMED_PARTLY: (
        "Une cause de suspension cesse, une autre demeure : le délai reste suspendu.",
        "One cause of suspension ends, another remains: the time stays suspended.",
    ),
    Op.RESUMED_UNSUSPENDED: (
        "Reprise sans suspension en cours : sans effet.",
        "Resumed without being suspended: no effect.",
    ),
    Op.EXTENDED: ("Le délai est allongé{change}.", "The time is made longer{change}."),
    Op.EXTENDED_LATE: (
        "Allongement annoncé trop tard (possible jusqu'au {last}) : sans effet.",
        "A longer time announced too late (possible until {last}): no effect.",
    ),
    Op.EXTENDED_SHORTER: (
        "Un allongement au moins aussi long compte déjà : sans effet.",
        "A longer time at least as long counts already: no effect.",
    ),
    Op.CAUSE_UNKNOWN: (
        "Cet événement ne correspond à aucun cas prévu par la règle : sans effet.",
        "The event fits no case of the rule: no effect.",
    ),
    Op.EFFECT_CHANGED: (
        "Dans ce cas, le silence a un autre sens : {effect}.",
        "In this case silence means something else: {effect}.",
    ),
    Op.REPLACED: ("Une nouvelle échéance remplace la précédente.", "A new limit takes the place of the former."),
    Op.REPLACED_LATE: (
        "Nouvelle date annoncée après la fin du délai ({last}) : sans effet.",
        "A new date told after the end of the time ({last}): no effect.",
    ),
    Op.INTERRUPTED: ("Le délai est interrompu le {day}.", "The time is interrupted on {day}."),
    Op.INTERRUPTS_NOT: (
        "Dans cette matière, cet acte n'interrompt pas le délai.",
        "In this field such an act does not interrupt the time.",
    ),
    Op.RESTARTED: ("Un nouveau délai entier part le {day}.", "The whole time starts again on {day}."),
    Op.STOPPED: ("Le délai s'arrête le {day}.", "The time stops on {day}."),
    Op.STOPPED_LATE: (
        "Réponse du {day}, après la fin du délai ({due}). Le silence avait déjà produit son effet le {born} : {effect}.",
        "Answer of {day}, after the end of the time ({due}). Silence had already had its effect on {born}: {effect}.",
    ),
    Op.STOPPED_BEFORE_START: (
        "L'événement qui arrête le délai ({day}) précède son départ ({start}) : il n'a jamais couru.",
        "What stops the time ({day}) lies before its start ({start}): it never ran.",
    ),
    Op.REOPENED: (
        "Le dossier est rouvert : un nouveau délai entier part le {day}.",
        "The case is reopened: the whole time starts again on {day}.",
    ),
    Op.AFTER_END: (
        "Le délai était déjà fini ({due}) : sans effet.",
        "The time had already ended ({due}): no effect.",
    ),
    Op.AFTER_STOP: ("Le délai était déjà arrêté : sans effet.", "The time had already stopped: no effect."),
    Op.BEFORE_START: ("Le délai n'était pas parti : sans effet.", "The time had not started: no effect."),
    Op.ALREADY_STARTED: (
        "Le délai était déjà parti : ce second départ est sans effet.",
        "The time had already started: a second start has no effect.",
    ),
    Op.DATE_ABSURD: ("Date impossible : événement écarté.", "Impossible date: the event is left out."),
    Op.ENDS_BEFORE_START: (
        "Les dates se contredisent : la fin ou la réception indiquée n'est pas retenue.",
        "The dates contradict each other: the end or the receipt given is not used.",
    ),
    Op.NOT_IN_FORCE: (
        "La règle n'était pas en vigueur le {day}.",
        "The rule was not in force on {day}.",
    ),
}

NOT_RUNNING = ("Le délai ne court pas en ce moment.", "The time is not running at present.")

EFFECTS: dict[str, tuple[str, str]] = {
    "granted": ("la demande est acceptée", "the request is granted"),
    "granted-flat-rate": ("l'aide est accordée pour un montant forfaitaire", "aid is granted at a flat amount"),
    "refused": ("la demande est rejetée", "the request is refused"),
    "not-opposed": ("les travaux peuvent être faits", "the works may be done"),
    "opposed": ("il y a opposition aux travaux", "the works are opposed"),
    "opinion-favourable": ("l'avis est réputé favorable", "the opinion is deemed favourable"),
    "opinion-refused": ("l'accord est réputé refusé", "the agreement is deemed refused"),
    "opinion-given": ("l'avis est réputé rendu", "the opinion is deemed given"),
    "deemed-complete": ("le dossier est réputé complet", "the file is deemed complete"),
    "confirmed": ("le refus est confirmé", "the refusal is confirmed"),
    "waived": ("l'administration renonce à son droit", "the body gives up its right"),
    "taken-over": ("une autre administration prend le relais", "another body takes over"),
    "lapsed": ("la demande ou le titre devient caduc", "the request or document lapses"),
    "barred": ("il n'est plus possible d'agir", "it is no longer possible to act"),
    "deemed-notified": ("la décision est réputée notifiée", "the decision is deemed notified"),
    "service-target": ("l'objectif de service est manqué", "the service target is missed"),
    "none": ("l'échéance est passée, sans effet de droit", "the limit has passed, without legal effect"),
}

MARKS: dict[str, tuple[str, str]] = {
    "old": ("lu dans une version ancienne", "read in an older version"),
    "secondary": ("lu dans une source secondaire", "read in a secondary source"),
    "unverified": ("non lu", "not read"),
}

TO_DO: dict[str, tuple[str, str]] = {
    "granted": (
        "Demandez une attestation de décision implicite ; l'accord peut encore être retiré s'il est illégal.",
        "Ask for a certificate of the implied decision; it may still be withdrawn if illegal.",
    ),
    "granted-flat-rate": (
        "Le montant sera revu quand la décision sera notifiée.",
        "The amount will be reviewed when the decision is notified.",
    ),
    "refused": (
        "Vous pouvez demander les motifs et contester ; l'administration peut encore répondre.",
        "You can ask for the reasons and contest; the body may still answer.",
    ),
    "not-opposed": (
        "Demandez un certificat de non-opposition avant de commencer.",
        "Ask for a certificate of non-opposition before you begin.",
    ),
    "opposed": ("Vous pouvez déposer une nouvelle demande complète.", "You can file a new, complete request."),
    "taken-over": ("L'autre administration vous contactera.", "The other body will contact you."),
    "lapsed": ("Il faut refaire une demande.", "You have to file again."),
}

WHOSE = {
    "first-body": ("la première administration saisie", "the first body seized"),
    "competent-body": ("l'administration compétente", "the competent body"),
}

TOOK_EFFECT = (
    "Le silence a produit son effet le {day} : {effect}.",
    "Silence took effect on {day}: {effect}.",
)
LEARNT_LATE = ("Cela n'a été connu qu'après cette date.", "This was only learnt after that day.")

OPPOSABLE: dict[bool | None, tuple[str, str]] = {
    True: ("Le délai de recours court contre la personne.", "The time to appeal runs against the person."),
    False: (
        "Le délai de recours ne peut pas être opposé à la personne.",
        "The time to appeal cannot be held against the person.",
    ),
    None: (
        "On ne sait pas si le délai de recours peut être opposé à la personne.",
        "It is not known whether the time to appeal can be held against the person.",
    ),
}

NOT_OPPOSABLE: dict[str, tuple[str, str]] = {
    "not-notified": (
        "La décision ne lui a pas été notifiée.",
        "The person was not notified of the decision.",
    ),
    "routes-not-stated": (
        "La notification n'indiquait pas les voies et délais de recours.",
        "The notice did not state how and until when to appeal.",
    ),
    "not-acknowledged": ("Aucun accusé de réception n'a été envoyé.", "No acknowledgement was sent."),
    "acknowledgement-incomplete": (
        "Il manque à l'accusé de réception des mentions obligatoires.",
        "The acknowledgement lacks mentions that are compulsory.",
    ),
    "unknown": ("Les informations reçues ne le disent pas.", "What was stated does not tell."),
}
