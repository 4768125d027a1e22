"""Predict new rows: read them, check them against the model, name the classes."""
