"""The same search by every executor: the same trials, the same best one."""

import shutil

import numpy as np
import pandas as pd
import pytest

import ktune
from ktune.executors import connected
from ktune.loop import SilentListener


def build(hp):
    import keras

    model = keras.Sequential()
    model.add(keras.layers.Dense(hp.Int("units", 4, 32), activation="relu"))
    model.add(keras.layers.Dropout(0.2))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
    return model


EXPERIMENT = ktune.Experiment(
    name="small",
    data=ktune.data.breast_cancer(),
    build=build,
    fit={"epochs": 2, "batch_size": 64},
    cv=2,
    trials=5,
    sampler="random",
    pruner="none",
)


def search(folder, empty_store, listener=None, **changes):
    shutil.copy(empty_store, folder / "mlflow.db")
    return ktune.search(
        EXPERIMENT,
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        listener=listener or SilentListener(),
        **changes,
    )


@pytest.fixture(scope="module")
def serial(tmp_path_factory, empty_store):
    return search(tmp_path_factory.mktemp("serial"), empty_store)


@pytest.fixture(scope="module")
def cluster():
    """Two machines of one CPU each, as far as Ray can see."""
    connected(ktune.Experiment(name="x", data=[], build=build, executor="ray"))
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # else a token is left in the home
        cluster = Cluster(
            initialize_head=True,
            head_node_args={**small, "include_dashboard": False},
        )
        cluster.second = cluster.add_node(**small)
        yield cluster
        cluster.shutdown()


def require_same(found, expected):
    one, two = (
        result.trials.drop(columns=["seconds", "run_id"]).sort_index()
        for result in (found, expected)
    )
    # The number of threads a process has may show in the last bits.
    pd.testing.assert_frame_equal(one, two, rtol=1e-5)
    assert found.best.number == expected.best.number
    both = zip(found.model.get_weights(), expected.model.get_weights(), strict=True)
    for one, two in both:
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_in_two_processes(serial, tmp_path, empty_store):
    require_same(search(tmp_path, empty_store, jobs=2), serial)


class Accident(SilentListener):
    """Kills a machine of a cluster when two more trials have begun."""

    def __init__(self, cluster):
        self._cluster = cluster
        self.has_happened = False

    def on_epoch(self, report):
        if report.trial_number >= 2 and not self.has_happened:
            self.has_happened = True
            self._cluster.remove_node(self._cluster.second, allow_graceful=False)


def test_on_a_ray_cluster_that_loses_a_machine_on_the_way(
    serial, cluster, tmp_path, empty_store
):
    accident = Accident(cluster)
    found = search(tmp_path, empty_store, accident, ray_address=cluster.address)
    assert accident.has_happened
    require_same(found, serial)
