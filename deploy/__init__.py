"""How relais is run: command line, settings, local broker, topics, and what operators need."""

__version__ = "0.1.0"
