"""Small tools that know nothing of models: runtime, seeds, text, locks, memory."""
