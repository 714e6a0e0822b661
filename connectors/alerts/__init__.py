"""Alerts leave the bus: to an Alertmanager, which knows whom to wake."""
