"""What the state of a partition takes in memory."""
