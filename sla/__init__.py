"""The pure domain: no I/O, no Kafka, no logging, no clock of its own."""
