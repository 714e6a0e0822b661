"""The kit: what a connector has to be, and a runner that owns the rest."""
