"""The same search by every executor: the same trials, bit for bit.

The rows have 30 numbers: no operation of such a network depends on the number of
threads, which is that of the machine here and one in a worker of two, see
`scripts/check_operations.py`.
"""

import dataclasses
import shutil

import pytest

import ktune
from ktune.data.folds import split
from ktune.data.loading import load_data
from ktune.evaluation.context import make_context
from ktune.evaluation.evaluate import work_with
from ktune.executors import connected, make_executor
from ktune.executors.serialization import pack
from ktune.experiment.experiment import override
from ktune.listener import Listener
from ktune.searchers import make_searcher
from ktune.testing.fakes import make_trial
from ktune.tuner.loop import SearchLoop

pytestmark = pytest.mark.slow


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


@pytest.fixture(scope="module")
def context():
    dataset = load_data(EXPERIMENT.data, name="small", task=None)
    partition = split(
        dataset, cv=EXPERIMENT.cv, test_size=EXPERIMENT.test_size, seed=EXPERIMENT.seed
    )
    return make_context(EXPERIMENT, dataset, partition)


def search(context, executor, folder):
    """Search without MLflow; return the score of each trial by its number."""
    found = {}
    searcher = make_searcher(
        EXPERIMENT,
        context.builder.declare,
        goal=context.goal,
        path=folder / "study.log",
    )
    SearchLoop(
        searcher,
        executor,
        track=lambda trial, result: found.update({trial.number: result.score}),
        listener=Listener(),
        trials=EXPERIMENT.trials,
    ).run()
    return found


@pytest.fixture(scope="module")
def serial(context, tmp_path_factory):
    executor = make_executor(EXPERIMENT, work_with(context))
    return search(context, executor, tmp_path_factory.mktemp("serial"))


def require_same(found, expected):
    assert sorted(found) == sorted(expected) == list(range(EXPERIMENT.trials))
    assert dict(sorted(found.items())) == expected


def test_data_that_cannot_be_pickled_do_not_keep_trials_from_other_processes(context):
    class Unpicklable:
        def __reduce__(self):
            raise TypeError("a tensor of TensorFlow")

    experiment = override(EXPERIMENT, {"data": Unpicklable()})
    pack(work_with(dataclasses.replace(context, experiment=experiment)).evaluate)


def test_in_two_processes_that_share_the_folds_of_a_trial_or_not(
    context, serial, tmp_path
):
    work = work_with(context)
    executor = make_executor(override(EXPERIMENT, {"jobs": 2}), work)
    trial = make_trial(99, {"units": 8, "learning_rate": 0.01})
    executor.submit(trial)
    _, shared = executor.wait(lambda _: True)
    alone = work.evaluate(trial)
    assert shared.trainer == alone.trainer == "graph"
    assert shared.curves == alone.curves
    require_same(search(context, executor, tmp_path), serial)


class Accident(Listener):
    """Kills a machine of a cluster when trials run on both."""

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
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    found = ktune.search(
        EXPERIMENT,
        tracking_uri=f"sqlite:///{tmp_path}/mlflow.db",
        listener=accident,
        ray_address=cluster.address,
    )
    assert accident.has_happened
    require_same(found.trials["val_accuracy"].to_dict(), serial)
