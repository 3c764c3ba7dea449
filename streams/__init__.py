"""The Kafka side: topics, codecs, the batch lane, partition state, delivery."""
