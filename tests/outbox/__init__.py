"""The outbox, on real SQLite files."""
