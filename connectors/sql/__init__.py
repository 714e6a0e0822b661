"""SQL: records of a body's database onto the bus, and what concerns the body into a table of its own."""
