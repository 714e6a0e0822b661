"""Connectors as the command `relais connector` handles them."""
