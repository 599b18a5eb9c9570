"""The sections of a report: each one's model, and the function that makes it from a run's history."""
