"""Settings, the model of contracts and calendars, and what an operator edits."""
