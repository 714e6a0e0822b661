"""The gateway: bodies state facts and ask questions by HTTP, with no Kafka of their own."""
