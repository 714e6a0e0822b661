"""What is said on the bus: event schemas, their models, canonical form, codec and references."""
