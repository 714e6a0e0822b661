"""Another bus of the same kind: its facts carried over as they are, once, and never in a circle."""
