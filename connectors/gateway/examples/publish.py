"""State facts with nothing but Python: open a case, then hand it over to another body.

    RELAIS_URL=http://127.0.0.1:8400 RELAIS_TOKEN=relais_… python publish.py viriat PC-0001 grand-bourg

Sending the same events again is safe: the same source, subject and id are the same fact. So whoever got no answer sends again.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import date
from hashlib import sha256
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

URL = os.environ.get("RELAIS_URL", "http://127.0.0.1:8400")
TRIES = 5


def send(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Send a batch, all or nothing; wait and send again while the bus cannot take it."""
    headers = {
        "Authorization": f"Bearer {os.environ['RELAIS_TOKEN']}",
        "Content-Type": "application/cloudevents-batch+json",
        "Prefer": "wait=20",
    }
    for _ in range(TRIES):
        try:
            with urlopen(Request(f"{URL}/v1/events", json.dumps(events).encode(), headers), timeout=60) as answer:
                taken: dict[str, Any] = json.load(answer)
                return taken
        except HTTPError as error:
            if error.code not in (429, 503):
                raise SystemExit(explain(json.load(error))) from None
            wait = int(error.headers.get("Retry-After", "1"))
        except (URLError, TimeoutError):
            wait = 1
        time.sleep(wait)
    raise SystemExit("the bus does not answer: send the same events later")


def explain(problem: dict[str, Any]) -> str:
    """What is to be mended, one line each."""
    lines = [
        f"event {flaw.get('index', 0)}, {flaw['field']}: {flaw['mend']} ({flaw['code']})"
        for flaw in problem.get("problems", [])
    ]
    return "\n".join([f"{problem['title']}: {problem['detail']}", *lines])


def main(body: str, number: str, to: str) -> None:
    """Open a case and hand it over."""
    case, today = f"case:{body}/{number}", date.today().isoformat()  # noqa: DTZ011 - a legal date is a local one
    # The reference of a handoff is drawn by its sender, once, and kept: here it follows from the number.
    handoff = f"handoff:{body}:{sha256(f'{body}/{number}>{to}'.encode()).hexdigest()[:32]}"
    shared = {"specversion": "1.0", "source": f"{body}/example", "subject": case}
    opened = {"occurred_on": today, "procedure": "urbanisme.pc-maison"}
    sent = {"occurred_on": today, "handoff": handoff, "to": to, "kind": "transfer"}
    answer = send(
        [
            shared | {"type": "fr.relais.case.opened", "id": f"{number}-opened", "data": opened},
            shared | {"type": "fr.relais.handoff.sent", "id": f"{number}-sent-{to}", "data": sent},
        ]
    )
    for receipt in answer["accepted"]:
        print(receipt["id"], URL + receipt["journey"])


if __name__ == "__main__":
    main(*sys.argv[1:])
