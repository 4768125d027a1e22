"""What stands in MLflow: pure records, one writer, one reader."""
