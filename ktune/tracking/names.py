"""Names of ktune's tags, metrics and artifacts in MLflow: a contract with scripts.

| kind | name | meaning |
|---|---|---|
| tag | `ktune.kind` | `search` (parent run) or `trial` (child run) |
| tag | `ktune.experiment` | of a search: name of its experiment and registered model |
| tag | `ktune.smoke_test` | `true`: of a search with `--smoke` |
| tag | `ktune.trial` | number of the trial |
| tag | `ktune.state` | `complete`, `pruned`, `failed`; `interrupted`: does not count |
| tag | `ktune.verdict` | `overfit`, `underfit`, `good`, `unstable`, `failed` |
| tag | `ktune.failure` | why a trial failed; equal for trials with the same cause |
| tag | `ktune.values` | of a trial: its values as JSON, unless they are too long |
| tag | `ktune.batch_size` | of a trial retried with a smaller batch to save memory |
| tag | `ktune.storage` | of a search with several drivers: the database of its study |
| tag | `ktune.objectives` | of a search with several: `f1 max, n_parameters min` |
| tag | `ktune.pick` | of such a search: how the trial to register was chosen |
| tag | `ktune.tie_breaker` | of a search: metric that selects one of tied trials |
| tag | `ktune.pareto_front` | `true`: no other trial dominates it |
| tag | `ktune.ensemble` | of a search and of a model version: its ensemble |
| tag | `ktune.final` | of a search: its final model, as JSON; of a version: `average` |
| tag | `ktune.move.<n>` | of a registered model: an alias change, its time and reason |
| tag | `ktune.gate` | of a model version: its last alias change, in words |
| tag | `ktune.test_scores` | of a model version: value and interval of each score |
| metric | `val_<metric>`, `val_<metric>_std` | mean and deviation over folds |
| metric | `train_<metric>` | mean over folds, on training rows |
| metric | `fold<k>_val_<metric>` | one fold |
| metric | `epoch_val_<metric>`, `epoch_train_<metric>` | curves, step = epoch |
| metric | `fit_seconds`, `epochs`, `best_epoch`, `n_parameters` | of a trial |
| metric | `latency_ms` | to predict one row: of the best trial, of others on demand |
| metric | `best_val_<metric>`, `best_val_<metric>_std` | of a search: its best trial |
| metric | `best_train_<metric>` | likewise, on training rows |
| metric | `test_<metric>` | of a search: the final model on the test set |
| metric | `test_<metric>_low`, `test_<metric>_high` | its 95 % interval |
| metric | `test_<metric>_at_0.5` | the same at threshold 0.5, if another is used |
| metric | `single_test_<metric>` … | of the best trial alone, beside an average |
| metric | `threshold` | of a search: the decision threshold, if it has one |
| metric | `refit_seconds`, `refit_epochs` | of a search |
| metric | `version_seconds` | of a search: to store, check and report a version |
"""

KIND = "ktune.kind"
SEARCH = "search"
TRIAL = "trial"

EXPERIMENT = "ktune.experiment"
SMOKE_TEST = "ktune.smoke_test"
TRIAL_NUMBER = "ktune.trial"
STATE = "ktune.state"
INTERRUPTED = "interrupted"
VERDICT = "ktune.verdict"
FAILURE = "ktune.failure"
VALUES = "ktune.values"
BATCH = "ktune.batch_size"
PARENT = "mlflow.parentRunId"
NOTE = "mlflow.note.content"

BEST_TRIAL = "ktune.best_trial"
BEST_RUN = "ktune.best_run_id"
OBJECTIVE = "ktune.objective"
DIRECTION = "ktune.direction"
OBJECTIVES = "ktune.objectives"
PICK = "ktune.pick"
TIE_BREAKER = "ktune.tie_breaker"
PARETO_FRONT = "ktune.pareto_front"
REASON = "ktune.ended_because"
MODEL_VERSION = "ktune.model_version"
GATE = "ktune.gate"
MOVE = "ktune.move"
LOGGED_MODEL = "ktune.logged_model_id"
TEST_SCORES = "ktune.test_scores"
ENSEMBLE = "ktune.ensemble"
FINAL = "ktune.final"
THRESHOLD = "ktune.threshold"
DATA_DIGEST = "ktune.data_digest"
STORAGE = "ktune.storage"
TEST_DIGEST = "ktune.test_digest"
SEARCH_RUN = "ktune.search_run_id"
TRIAL_RUN = "ktune.trial_run_id"

VERSION_SECONDS = "version_seconds"

STUDIES = "studies"
"""Folder beside the store for the studies, from which a search is resumed."""

WAITING = "waiting"
"""Folder beside the store for records that were queued for its server."""

TRIAL_FILE = "trial.json"
OUT_OF_FOLD_FILE = "out_of_fold.npz"
CONFUSION_FILE = "confusion_matrix.csv"
SUMMARY_FILE = "model_summary.txt"
TRACEBACK_FILE = "traceback.txt"
FOLDS_FILE = "folds.npz"
SEARCH_FILE = "search.json"
SOURCE_FOLDER = "source"
LATER_SOURCES = "source_from_trial_"
"""Prefix of the folder of changed sources, with the first trial that used them."""
GIT_DIFF_FILE = "git_diff.patch"
ENVIRONMENT_FILE = "environment.json"
REQUIREMENTS_FILE = "requirements.txt"
REFERENCES_FILE = "references.json"
DIAGNOSIS_FILE = "diagnosis.json"
REPORT_FILE = "report.html"
SPACE_FILE = "space.json"
"""The space of a search, unless its study is a file beside the store."""
