"""Pure rules: facts in, outputs out. No Faust, no asyncio, no clock, no I/O."""
