"""`relais replay`: an event log of the past, through the real bus or the plain computation, and the report of it."""
