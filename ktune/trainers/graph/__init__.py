"""The fast trainer: whole epochs of all folds in one TensorFlow graph."""
