"""The read model: what the bus publishes, kept in SQL for pages and questions. A sink like any other."""
