"""Take what is handed to a body, as it comes, and say that it was received.

    RELAIS_URL=http://127.0.0.1:8400 RELAIS_TOKEN=relais_… python inbox.py cursor.txt [--once]

The cursor is kept in a file after each page was dealt with, so that a restart goes on from there. `--once` ends when there is nothing more.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

URL = os.environ.get("RELAIS_URL", "http://127.0.0.1:8400")


def call(method: str, path: str) -> dict[str, Any]:
    """One request, again for as long as the bus asks to come back."""
    request = Request(URL + path, method=method, headers={"Authorization": f"Bearer {os.environ['RELAIS_TOKEN']}"})
    while True:
        try:
            with urlopen(request, timeout=60) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except HTTPError as error:
            if error.code not in (429, 503):
                raise SystemExit(json.load(error)["detail"]) from None
            time.sleep(int(error.headers.get("Retry-After", "1")))
        except (URLError, TimeoutError):
            time.sleep(1)


def take(item: dict[str, Any]) -> None:
    """What a real program does here: enter the item in its own worklist. It may see one twice, so it asks whether it is there."""
    due = f", due on {item['due_on']}" if item["due_on"] else ""
    print(f"{item['from']['name']} hands over {item['handoff']} ({item['kind']}{due})")


def main(file: str, once: str = "") -> None:
    """Follow the inbox."""
    kept = Path(file)
    cursor = kept.read_text() if kept.exists() else ""
    while True:
        query = urlencode({"cursor": cursor, "limit": 100, "wait": 0 if once else 30})
        page = call("GET", f"/v1/inbox?{query}")
        for item in page["items"]:
            if item["state"] == "sent":
                take(item)
                call("POST", f"/v1/inbox/{quote(item['handoff'], safe=':')}/receive")
        cursor = page["cursor"]
        kept.write_text(cursor)
        if once and not page["more"]:
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
