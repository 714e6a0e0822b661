"""Chaos: realistic traffic, faults at random moments, and an oracle of its own that says what the bus must hold in the end."""
