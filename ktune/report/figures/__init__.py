"""The figures of a report, one a file: from views to Plotly figures as plain values."""
