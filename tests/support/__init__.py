"""What several tests stand on: facts made easily, and a world of partitions without Kafka."""
