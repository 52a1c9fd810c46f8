"""From recorded events of a real book, or of this one, to the parameters of its flow."""
