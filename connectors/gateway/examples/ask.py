"""Ask where a request is, by any reference of it.

RELAIS_URL=http://127.0.0.1:8400 RELAIS_TOKEN=relais_… python ask.py case:viriat/PC-0001
"""

from __future__ import annotations

import json
import os
import sys
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

URL = os.environ.get("RELAIS_URL", "http://127.0.0.1:8400")


def main(reference: str) -> None:
    """Print who has it, which limits run, and what was handed over."""
    address = f"{URL}/v1/journeys?{urlencode({'reference': reference})}"
    try:
        with urlopen(
            Request(address, headers={"Authorization": f"Bearer {os.environ['RELAIS_TOKEN']}"}), timeout=60
        ) as answer:
            journey = json.load(answer)
    except HTTPError as error:
        raise SystemExit(json.load(error)["detail"]) from None
    for case in journey["cases"]:
        print(f"{case['body']['name']}: {case.get('case', 'a case of its own')}, {case['state']}")
        for clock in case.get("clocks", []):
            print(f"  {clock['rule']}: {clock['state']}, due on {clock['due_on']}")
            for line in clock["derivation"]:
                print(f"    {line['sentence']['fr']}")
    for handoff in journey["handoffs"]:
        print(f"{handoff['from']['name']} -> {handoff['to']['name']}: {handoff['state']} since {handoff['since']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
