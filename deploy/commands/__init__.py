"""The sub-commands of `relais`, one module each, found by `deploy.cli`."""
