"""The figures of a replay, computed from the log alone: nothing of relais is imported here, and no mapping file is read.

Usage: python independent.py LOG.xes[.gz]. Prints the fields of the report as JSON. The rules of BPIC15 are written out in the code.
"""

import gzip
import json
import sys
import xml.etree.ElementTree as Tree
from collections import defaultdict
from datetime import date, timedelta

ASKS, RECEIVES = "08_AWB45_020_2", "08_AWB45_030"
HANDOFF_DAYS, PIECES_DAYS = 14, 28


def rows_of(path):
    """(trace number, [(date, desk, activity)]) of each trace, without the rows that did not happen."""
    with (gzip.open if path.endswith(".gz") else open)(path, "rb") as file:
        for _, element in Tree.iterparse(file):
            if element.tag.rpartition("}")[2] != "trace":
                continue
            number, rows = None, []
            for child in element:
                if child.tag.rpartition("}")[2] == "event":
                    cell = {c.get("key"): c.get("value") for c in child}
                    if cell.get("question") != "False":
                        day = date.fromisoformat(cell["time:timestamp"][:10])
                        rows.append((day, "desk-" + cell["org:resource"], cell["concept:name"]))
                elif child.get("key") == "concept:name":
                    number = child.get("value")
            yield number, rows
            element.clear()


def figures(path):
    """The report."""
    journeys = cases = facts = 0
    pairs = defaultdict(lambda: [0, 0])
    body = defaultdict(lambda: [0, 0, 0])
    begun = ended = paused = 0
    late = {"handoff.received": [0, 0], "pieces.received": [0, 0]}
    first, last = date.max, date.min
    for _, rows in rows_of(path):
        journeys += bool(rows)
        desks = {desk for _, desk, _ in rows}
        cases += len(desks)
        facts += len(rows) + len(desks)
        for desk in desks:
            body[desk][0] += 1
        asked, stay = {}, None
        for i, (day, desk, activity) in enumerate(rows):
            first, last = min(first, day), max(last, day)
            if i == 0:
                stay = day
            elif desk != rows[i - 1][1]:
                sent, old = rows[i - 1][:2]
                facts += 3
                pairs[old, desk][0] += 1
                pairs[old, desk][1] += (day - sent).days
                late["handoff.received"][0] += (day - sent).days > HANDOFF_DAYS
                body[old][1] += 1
                body[old][2] += (sent - stay).days
                stay = day
            if activity == ASKS and desk not in asked:
                begun += 1
                asked[desk] = day
            elif activity == RECEIVES:
                # Every desk that waits gets the pieces; a desk that does not wait has done a step.
                facts += len(asked) - (desk in asked)
                for since in asked.values():
                    ended += 1
                    paused += (day - since).days
                    late["pieces.received"][0] += (day - since).days > PIECES_DAYS
                asked = {}
        if rows:
            body[rows[-1][1]][1] += 1
            body[rows[-1][1]][2] += (rows[-1][0] - stay).days
        for place in (0, 1):
            late["pieces.received"][place] += len(asked)
    return {
        "until": str(last + timedelta(days=max(HANDOFF_DAYS, PIECES_DAYS) + 2)),
        "facts": facts,
        "first_on": str(first),
        "last_on": str(last),
        "journeys": journeys,
        "cases": cases,
        "handoffs": sum(n for n, _ in pairs.values()),
        "handoffs_by_pair": [
            {"from": a, "to": b, "handoffs": n, "received": n, "days_between": d}
            for (a, b), (n, d) in sorted(pairs.items())
        ],
        "days_between": sum(d for _, d in pairs.values()),
        "inside": [{"body": b, "cases": c, "stays": n, "days_inside": d} for b, (c, n, d) in sorted(body.items())],
        "days_inside": sum(d for _, _, d in body.values()),
        "pauses": {"begun": begun, "ended": ended, "days": paused},
        "alerts": [{"limit": name, "raised": n, "open": o} for name, (n, o) in late.items()],
    }


if __name__ == "__main__":
    print(json.dumps(figures(sys.argv[1]), indent=2))
