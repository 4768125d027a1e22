"""What is not collected: modules that do something when they are imported."""

collect_ignore = [
    "ktune/__main__.py",  # would run the command line
    "ktune/models/registry/served_model.py",  # MLflow runs it
    "ktune/cli/ui_app.py",  # starts MLflow's server
]
