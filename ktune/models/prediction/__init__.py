"""Predict for new rows: read them, check them against the model, name the outcome."""
