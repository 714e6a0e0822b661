#!/bin/sh
# State facts with curl: open a case, then hand it over to another body.
#   RELAIS_URL=http://127.0.0.1:8400 RELAIS_TOKEN=relais_… ./publish.sh viriat PC-0001 grand-bourg
# Sending the same events again is safe: the same source, subject and id are the same fact.
set -eu

url=${RELAIS_URL:-http://127.0.0.1:8400}
body=$1 number=$2 to=$3
today=$(date +%Y-%m-%d)
# The reference of a handoff is drawn by its sender, once: here from the number, so that a second run says the same again.
handoff="handoff:$body:$(printf '%s/%s>%s' "$body" "$number" "$to" | sha256sum | cut -c 1-32)"

# The token goes by a file descriptor: arguments can be read by everyone on the machine.
# --retry waits as Retry-After says when the bus cannot keep up (429) or does not answer (503).
curl --silent --show-error --fail-with-body --retry 5 \
  --config /dev/fd/3 --header 'Content-Type: application/cloudevents-batch+json' --header 'Prefer: wait=20' \
  --data-binary @- "$url/v1/events" 3<<TOKEN <<EVENTS
header = "Authorization: Bearer $RELAIS_TOKEN"
TOKEN
[
  {
    "specversion": "1.0", "type": "fr.relais.case.opened", "id": "$number-opened", "source": "$body/example",
    "subject": "case:$body/$number",
    "data": {"occurred_on": "$today", "procedure": "urbanisme.pc-maison"}
  },
  {
    "specversion": "1.0", "type": "fr.relais.handoff.sent", "id": "$number-sent-$to", "source": "$body/example",
    "subject": "case:$body/$number",
    "data": {"occurred_on": "$today", "handoff": "$handoff", "to": "$to", "kind": "transfer"}
  }
]
EVENTS
echo
