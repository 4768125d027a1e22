"""Contract tests for the interfaces of ktune, for built-ins and extensions alike."""
