"""A search from beginning to end: run, resume, finalize, reproduce."""
