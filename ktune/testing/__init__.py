"""Contract tests for the doors of ktune, used by built-ins and extensions alike."""
