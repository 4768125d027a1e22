"""Scores of predictions, their intervals, and the ranking of trials by them."""
