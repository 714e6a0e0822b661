"""Benchmarks: `relais bench …` prints figures and ratios, with the machine and the settings; no test asserts a time."""
