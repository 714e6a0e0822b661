"""Transport, partition, transaction, store, recovery, established time: knows bytes and Kafka, not journeys."""
