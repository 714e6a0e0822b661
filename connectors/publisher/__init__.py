"""A small client for software that states facts: kept on the disk before anything else, sent until the gateway has them.

It needs httpx2 and nothing else of relais, so that the folder can be taken into another program.

```python
from connectors.publisher import Event, Publisher

with Publisher("https://relais.example", token, "viriat/back-office", Path("relais-spool.db")) as relais:
    relais.publish(Event("case.opened", "case:viriat/PC-1", "PC-1-opened", {"procedure": "urbanisme.pc-maison"}, today))
    print(relais.flush())
```
"""

from connectors.publisher.client import Flushed, Publisher
from connectors.publisher.events import Event, handoff_reference
from connectors.publisher.problems import Flaw, PublisherError, Refused
from connectors.publisher.spool import AlreadySaidError

__all__ = [
    "AlreadySaidError",
    "Event",
    "Flaw",
    "Flushed",
    "Publisher",
    "PublisherError",
    "Refused",
    "handoff_reference",
]
