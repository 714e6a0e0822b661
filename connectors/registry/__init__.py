"""A schema registry, for those who write or read the Confluent framing: Karapace, Apicurio and Confluent by the same routes."""
