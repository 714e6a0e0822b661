"""The inbox of a body as a topic, for those who would rather read Kafka than ask by HTTP."""
