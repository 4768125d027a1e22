"""The experiment of a user: its fields, file, validation, sources and environment."""
