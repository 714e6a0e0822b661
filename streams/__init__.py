"""What the bus does: the pure engine, the exactly-once runtime, and the Faust app that joins them."""
