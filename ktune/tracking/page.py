"""Where in MLflow's page a search is seen best."""

from ktune.tracking.store import Store


def page_address(store: Store, server: str) -> str:
    """Return the address of the newest search's table of trials."""
    from ktune.tracking.reader import list_searches

    searches = list_searches(store)
    if not searches:
        return server
    experiment = store.client.get_experiment_by_name(searches[0].experiment)
    return f"{server}/#/experiments/{experiment.experiment_id}/runs"
