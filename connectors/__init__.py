"""How the world reaches the bus: gateway, read model, pages, replay of event logs."""
