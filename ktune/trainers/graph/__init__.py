"""The graph trainer: whole epochs of all folds in one TensorFlow graph."""
