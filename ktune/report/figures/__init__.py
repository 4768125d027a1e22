"""The figures of a report, one per file: Plotly figures as plain values."""
