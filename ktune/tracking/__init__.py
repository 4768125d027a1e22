"""MLflow records: pure values, one writer, one reader."""
