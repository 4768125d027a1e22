"""Go back to the champion before; nothing is loaded or trained for it."""

from ktune.models.promotion.promotion import Promotion
from ktune.models.registry.alias_changes import roll_back
from ktune.models.registry.card import write_card
from ktune.tracking.reader import find_search
from ktune.tracking.store import opened_store


def rollback(
    reference: str | None = None, *, tracking_uri: str | None = None
) -> Promotion:
    """Give alias ``champion`` back to the version that held it before.

    Args:
        reference: Of a search or trial of the model, or its name; None: of the newest
            search.
        tracking_uri: Where MLflow's store is; see `ktune.search`.

    Raises:
        UnknownReference: There is no earlier champion.
    """
    with opened_store(tracking_uri) as store:
        name = find_search(store, reference).experiment
        move = roll_back(store, name)
        write_card(store, name, move.version)
    return Promotion(
        model=name,
        version=move.version,
        alias=move.alias,
        reason=move.reason,
        before=move.before,
        is_new_version=False,
    )
