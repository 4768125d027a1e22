"""Roll back to the previous champion, without loading or training a model."""

from ktune.errors import UnknownReference
from ktune.models.promotion.promotion import Promotion
from ktune.models.registry.alias_changes import roll_back
from ktune.models.registry.card import write_card
from ktune.tracking.model_registry import find_champion
from ktune.tracking.reader import find_search
from ktune.tracking.store import Store, opened_store


def rollback(
    reference: str | None = None, *, tracking_uri: str | None = None
) -> Promotion:
    """Return alias ``champion`` to the previous champion.

    Args:
        reference: A search or trial of the model, or its name; None: the newest
            search.
        tracking_uri: Where MLflow's store is; see `ktune.search`.

    Raises:
        UnknownReference: There is no earlier champion.
    """
    with opened_store(tracking_uri) as store:
        name = _model_of(store, reference)
        change = roll_back(store, name)
        write_card(store, name, change.version)
    return Promotion(
        model=name,
        version=change.version,
        alias=change.alias,
        reason=change.reason,
        before=change.before,
        is_new_version=False,
    )


def _model_of(store: Store, reference: str | None) -> str:
    """Return the name of a model; its searches may be deleted in MLflow."""
    try:
        return find_search(store, reference).experiment
    except UnknownReference:
        if reference is None or find_champion(store, reference) is None:
            raise
        return reference
