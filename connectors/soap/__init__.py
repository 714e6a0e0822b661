"""An old business application that speaks SOAP: its changes read, handoffs and statuses given to it."""
