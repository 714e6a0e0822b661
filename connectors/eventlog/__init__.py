"""Event logs of the past (XES, CSV) as facts: what a town evaluates relais on before it is connected."""
