"""What is not collected: modules that do something when they are imported."""

collect_ignore = [
    "ktune/__main__.py",  # would run the command line
    "ktune/registry/served_model.py",  # registers itself as the model MLflow loads
    "ktune/ui_app.py",  # starts MLflow's server
]
