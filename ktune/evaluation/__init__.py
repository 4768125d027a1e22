"""The evaluation of one configuration: its folds, epochs, limits, and its refit."""
