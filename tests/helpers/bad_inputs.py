"""What users get wrong, as tables: experiment files, data, options and verbs.

Each case names what has to be said about it. Files begin with `HEAD`, are run by
``ktune search`` in a folder of their own, and may `put` further files there.
"""

HEAD = """
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, StratifiedKFold

import ktune

rng = np.random.default_rng(0)
X, y = rng.normal(size=(60, 4)), np.arange(60) % 3
ROWS = "".join(f"{i},{i % 7},{'ab'[i % 2]}\\n" for i in range(60))


def build(hp):
    model = keras.Sequential([keras.layers.Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def make(**fields):
    return ktune.Experiment(**{"name": "e", "data": (X, y), "build": build, **fields})


def asks(declare):
    return lambda hp: declare(hp) and build(hp) or build(hp)


def ends_in(units, loss="sparse_categorical_crossentropy", **more):
    def build(hp):
        model = keras.Sequential([keras.layers.Dense(units, **more)])
        model.compile("adam", loss)
        return model
    return build


def put(name, content):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def csv(text, **more):
    return make(data=ktune.data.csv(put("t.csv", text), **{"target": "y", **more}))


def npz(change=bytes, **arrays):
    np.savez("t.npz", **{"x": X, "y": y, **arrays})
    put("t.npz", change(Path("t.npz").read_bytes()))
    return make(data=ktune.data.npz("t.npz"))


"""

EXPERIMENTS = {
    "a misspelt field": ("e = make(trails=3)", "Did you mean 'trials'?"),
    "several problems": ("e = make(cv=1, trials=0, seed=-1)", "3 problems"),
    "no fields at all": ("e = ktune.Experiment()", "`build` is missing"),
    "fields without names": ("e = ktune.Experiment('e', (X, y))", "positional"),
    "no instance": ("e = ktune.Experiment", "defines no experiment"),
    "a name that leaves the store": ("e = make(name='../x')", "`name`"),
    "a name that is a path": ("e = make(name='/etc/passwd')", "`name`"),
    "a name of two lines": ("e = make(name='x\\ny')", "`name`"),
    "a name without end": ("e = make(name=101 * 'x')", "at most 100"),
    "no text for a name": ("e = make(name=5)", "`name`"),
    "an unknown metric": ("e = make(objective='val_acuracy')", "'val_accuracy'"),
    "a metric of another task": ("e = make(objective='rmse')", "rmse"),
    "no metric": ("e = make(objective=[])", "must begin with a metric"),
    "a metric twice": ("e = make(objective=['f1', 'f1'])", "twice"),
    "a metric by number": ("e = make(objective=5)", "must be a name"),
    "metrics that are no list": ("e = make(metrics='f1')", "a list"),
    "a threshold of many classes": ("e = make(threshold=0.3)", "two classes"),
    "an unknown sampler": ("e = make(sampler='tpa')", "Did you mean 'tpe'?"),
    "a sampler of the other engine": ("e = make(sampler='hyperband')", "optuna"),
    "an unknown engine": ("e = make(engine='ax')", "kerastuner"),
    "an unknown pruner": ("e = make(pruner='medain')", "Did you mean 'median'?"),
    "an unknown trainer": ("e = make(trainer='fast')", "keras_fit"),
    "an unknown executor": ("e = make(executor='dask')", "processes"),
    "no workers": ("e = make(jobs=0)", "`jobs`"),
    "a bad timeout": ("e = make(timeout='soon')", "'20m'"),
    "time that runs back": ("e = make(timeout=-1)", "positive"),
    "time that is none": ("e = make(timeout=float('nan'))", "positive"),
    "many trials": ("e = make(trials='many')", "`trials`"),
    "a share above one": ("e = make(test_size=1.5)", "[0, 1)"),
    "half a fold": ("e = make(cv=2.5)", "`cv`"),
    "a transformer's class": (
        "from sklearn.preprocessing import StandardScaler as S; e = make(preprocess=S)",
        "Give an instance",
    ),
    "start values of nothing": ("e = make(start_from=[{'u': 3}])", "'u'"),
    "a bad fit": ("e = make(fit={'batchsize': 3})", "Did you mean 'batch_size'?"),
    "a fit that is a list": ("e = make(fit=[1])", "`fit` must be"),
    "no epochs": ("e = make(fit={'epochs': 0})", "at least 1"),
    "no callback": ("e = make(fit={'callbacks': [3]})", "Keras callbacks"),
    "a fit that returns nothing": ("e = make(fit=lambda hp: None)", "dict"),
    "a fit that raises": ("e = make(fit=lambda hp: 1 / 0)", "ZeroDivisionError"),
    "a fit too big": ("e = make(fit=lambda hp: {'batch_size': 'big'})", "batch_size"),
    "no experiment": ("", "defines no experiment"),
    "two experiments": ("a, b = make(name='a'), make(name='b')", "Say which"),
    "a syntax error": ("e = make(", "line"),
    "a syntax error elsewhere": (
        "put('mod.py', 'x = ('); import mod",
        "mod.py, line 1",
    ),
    "null bytes": ("x = '\0'", "experiment_file.py: SyntaxError: source code"),
    "tabs among spaces": ("if 1:\n\te = 1\n        e = 2", "inconsistent use of tabs"),
    "a missing module": ("import no_such_module", "no_such_module"),
    "an exception": ("raise RuntimeError('on purpose')", "on purpose"),
    "an end of its own": ("exit(0)", "SystemExit"),
    "no end": ("def f():\n    return f()\nf()", "RecursionError"),
    "a splitter without groups": ("e = make(cv=GroupKFold(3))", "`cv`"),
    "a build that raises": ("e = make(build=lambda hp: 1 / 0)", "ZeroDivisionError"),
    "a build that ends": ("e = make(build=lambda hp: exit(1))", "SystemExit"),
    "a build of nothing": ("e = make(build=lambda hp: None)", "Keras model"),
    "a build without hp": ("e = make(build=lambda: None)", "cannot be called with"),
    "a space not called": ("e = make(build=ktune.spaces.mlp)", "call it: mlp()"),
    "no build": ("e = make(build=3)", "`build`"),
    "too few outputs": ("e = make(build=ends_in(2))", "(3,)"),
    "an unknown loss": ("e = make(build=ends_in(3, 'no_such_loss'))", "no_such_loss"),
    "a model that predicts NaN": (
        "nan = keras.initializers.Constant(float('nan'))\n"
        "e = make(build=ends_in(3, activation='softmax', kernel_initializer=nan))",
        "not finite",
    ),
    "a layer that does not fit": (
        "e = make(build=lambda hp: keras.Sequential([keras.layers.Conv2D(2, 3)]))",
        "`build` failed",
    ),
    "a range upside down": (
        "e = make(build=asks(lambda hp: hp.Int('a', 5, 1)))",
        "'a'",
    ),
    "a range without end": (
        "e = make(build=asks(lambda hp: hp.Float('a', 0, float('nan'))))",
        "finite",
    ),
    "steps of nothing": (
        "e = make(build=asks(lambda hp: hp.Int('a', 0, 9, step=0)))",
        "its step must be a positive number",
    ),
    "a choice of nothing": (
        "e = make(build=asks(lambda hp: hp.Choice('a', [])))",
        "Choice",
    ),
    "a transformer that fails": (
        "from sklearn.feature_extraction.text import CountVectorizer\n"
        "e = make(preprocess=CountVectorizer())",
        "`preprocess`",
    ),
    "a space grid cannot list": (
        "e = make(build=asks(lambda hp: hp.Float('rate', 0, 1)), sampler='grid')",
        "rate",
    ),
}

DATA = {
    "nothing": ("e = make(data=None)", "`data`"),
    "a path": ("e = make(data='t.csv')", "use ktune.data.csv('t.csv'"),
    "three things": ("e = make(data=(X, y, X))", "weights have shape"),
    "a frame alone": ("e = make(data=pd.DataFrame({'a': y}))", "ktune.data.table"),
    "rows that do not match": ("e = make(data=(X, y[:-1]))", "59"),
    "ragged rows": ("e = make(data=([[1, 2], [3]] * 30, y))", "ragged"),
    "complex numbers": ("e = make(data=(X * 1j, y))", "complex128"),
    "objects": ("e = make(data=(np.array([[{}]] * 60), y))", "other objects"),
    "NaN targets": ("e = make(data=(X, np.full(60, np.nan)))", "target"),
    "targets of three axes": ("e = make(data=(X, np.zeros((60, 2, 2))))", "(32, 2, 2)"),
    "infinite features": ("e = make(data=(X + np.inf, y))", "inf"),
    "one class": ("e = make(data=(X, y * 0))", "class"),
    "a class only tested": ("e = make(data=(X, y, X, y + 5))", "none of the 3 classes"),
    "a test set of other shape": ("e = make(data=(X, y, X[:, :2], y))", "shape (2,)"),
    "no rows": ("e = make(data=(X[:0], y[:0]))", "empty"),
    "data that raise": ("e = make(data=lambda: 1 / 0)", "ZeroDivisionError"),
    "data that end": ("e = make(data=lambda: exit(3))", "SystemExit"),
    "data of nothing": ("e = make(data=lambda: None)", "NoneType"),
    "a rare class": ("y[:] = 0; y[:2] = 1; e = make(data=(X, y))", "too few"),
    "too many folds": ("e = make(cv=30)", "fold"),
    "hardly a training row": ("e = make(test_size=0.99)", "test_size=0.99"),
    "no csv file": (
        "e = make(data=ktune.data.csv('a.csv', target='y'))",
        "no such file",
    ),
    "an empty csv": ("e = csv('')", "empty"),
    "a csv of names": ("e = csv('a,b,y\\n')", "0 rows"),
    "a csv of the target": ("e = csv('y\\n' + 'a\\nb\\n' * 30)", "0 feature columns"),
    "a csv without target": ("e = csv('a,b,z\\n' + ROWS)", "no column 'y'"),
    "a csv of other groups": (
        "e = csv('a,b,y\\n' + ROWS, groups='g')",
        "no column 'g'",
    ),
    "a ragged csv": ("e = csv('a,b,y\\n' + ROWS + '1,2,3,4\\n')", "ragged"),
    "a ragged csv in latin-1": (
        "e = csv(('a,b,y\\n' + ROWS + 'ä,2,3,4\\n').encode('latin-1'))",
        "t.csv",
    ),
    "a csv in latin-1": (
        "e = csv(('a,b,y\\n' + ROWS.replace('a', 'ä')).encode('latin-1'))",
        "encoding='latin-1'",
    ),
    "a csv in no encoding": ("e = csv('a,b,y\\n' + ROWS, encoding='utf-99')", "utf-99"),
    "a doubled column": ("e = csv('a,a,y\\n' + ROWS)", "occurs 2 times"),
    "another separator": (
        "e = csv(('a,b,y\\n' + ROWS).replace(',', ';'), separator=',')",
        "separator",
    ),
    "a word among the numbers of a csv": (
        "e = csv('a,b,y\\n' + ROWS.replace('30,2,a', 'thirty,2,a'))",
        "column 'a' holds 'thirty' (row 30) among 59 numbers",
    ),
    "a class that is called None": (
        "e = csv('a,b,y\\n' + ROWS.replace('a', 'None'))",
        "not_missing=['None']",
    ),
    "numbers of two meanings": (
        "e = csv(('a,b,y\\n' + ROWS).replace('1,', '1.000,').replace(',', ';')"
        ".replace('.', ','))",
        "thousands=','",
    ),
    "a csv without header": ("e = csv(ROWS)", "header=None"),
    "a list of inputs": ("e = make(data=([X, X], y))", "expects 1 input"),
    "several targets": ("e = make(data=(X, {'p': y, 'q': y}))", "differ in form"),
    "raw texts": ("e = make(data=(['a b c'] * 60, y))", "kind='sequence'"),
    "a dataset without end": (
        "import tensorflow as tf\n"
        "e = make(data=tf.data.Dataset.from_tensor_slices((X, y)).repeat())",
        "dataset.take(n)",
    ),
    "a csv of bytes": ("e = csv(bytes(range(256)) * 40)", "no readable csv file"),
    "a csv that is not packed": (
        "e = make(data=ktune.data.csv(put('t.csv.gz', 'text'), target='y'))",
        "no readable csv file",
    ),
    "words to regress": ("e = csv('a,b,y\\n' + ROWS, task='regression')", "numbers"),
    "no npz": ("e = npz(lambda packed: b'text')", "no readable npz file"),
    "half an npz": ("e = npz(lambda packed: packed[:700])", "cut off"),
    "a spoilt npz": (
        "e = npz(lambda packed: packed.replace(packed[300:304], b'\\0' * 4))",
        "no readable npz file",
    ),
    "an npz of pickles": ("e = npz(x=np.array([{}] * 60))", "could run code"),
    "an npz of other names": (
        "np.savez('t.npz', a=X, b=y); e = make(data=ktune.data.npz('t.npz'))",
        "there are no arrays x and y",
    ),
    "an npy": (
        "np.save('t.npy', X); e = make(data=ktune.data.npz('t.npy'))",
        "a single array",
    ),
    "no parquet": (
        "e = make(data=ktune.data.parquet(put('t.parquet', 'text'), target='y'))",
        "no readable parquet file",
    ),
    "half a parquet": (
        "pd.DataFrame({'a': y}).to_parquet('t.parquet')\n"
        "put('t.parquet', Path('t.parquet').read_bytes()[:400])\n"
        "e = make(data=ktune.data.parquet('t.parquet', target='y'))",
        "no readable parquet file",
    ),
    "no images": ("e = make(data=ktune.data.image_folder('images'))", "no such folder"),
    "images of one class": (
        "put('images/a/x.txt', '1'); e = make(data=ktune.data.image_folder('images'))",
        "at least two",
    ),
    "images that are none": (
        "[put(f'images/{c}/{i}.png', 'no') for c in 'ab' for i in range(3)]\n"
        "e = make(data=ktune.data.image_folder('images'))",
        "6 files are corrupt",
    ),
    "empty sequences": ("e = make(data=ktune.data.sequence([[]] * 60, y))", "empty"),
}

FILE = "experiment_file.py"

OPTIONS = [
    (["no_such_file.py"], "there is no file"),
    (["experment_file.py"], "Did you mean 'experiment_file.py'?"),
    ([300 * "a" + ".py"], "there is no file"),
    (["."], "not a Python file"),
    ([], "required: FILE"),
    ([f"{FILE}:other"], "no experiment 'other'"),
    ([FILE, "--trials", "0"], "`trials`"),
    ([FILE, "--trials", "ten"], "invalid int value"),
    ([FILE, "--trails", "3"], "Did you mean '--trials'?"),
    ([FILE, "--folds", "1"], "`cv`"),
    ([FILE, "--epochs", "0"], "'epochs'"),
    ([FILE, "--timeout", "5 minutes"], "'20m'"),
    ([FILE, "--sampler", "gird"], "Did you mean 'grid'?"),
    ([FILE, "--engine", "ray"], "kerastuner"),
    ([FILE, "--backend", "theano"], "tensorflow"),
    ([FILE, "--pick", "worst"], "one_standard_error"),
    ([FILE, "--ensemble", "magic"], "greedy"),
    ([FILE, "--enqueue", "no.json"], "--enqueue no.json"),
    ([FILE, "--enqueue", FILE], f"--enqueue {FILE}"),
    ([FILE, "--resume"], "no MLflow store"),
    ([FILE, "--warm-start", "e"], "no MLflow store"),
    ([FILE, "-S", "cv"], "key=value"),
    ([FILE, "-S", "=3"], "key=value"),
    ([FILE, "-S", "tset_size=0.3"], "Did you mean 'test_size'?"),
    ([FILE, "-S", "name=../../x"], "`name`"),
    ([FILE, "-S", "fit.epochs=x"], "'epochs'"),
    ([FILE, "--tracking-uri", "./mlruns"], "sqlite:///"),
    ([FILE, "--tracking-uri", "sqlite://"], "names no file"),
    ([FILE, "--tracking-uri", "sqlite:///"], "names no file"),
    ([FILE, "--tracking-uri", "foo://bar"], "foo://bar"),
    (
        [FILE, "--tracking-uri", f"sqlite:///{FILE}"],
        "is damaged, or not a database",
    ),
    ([FILE, "--tracking-uri", f"sqlite:///{FILE}/mlflow.db"], FILE),
]

VERBS = [
    (["nonsense"], "there is no verb"),
    (["runs", "small2"], "Did you mean 'small'?"),
    (["runs", "--limit", "-1"], "must be at least 1"),
    (["show", "../../etc"], "neither a run id"),
    (["report", "ffff" * 8], "matches no run"),
    (["report", "-o", "small.py/report.html"], "--output small.py"),
    (["compare", "best", "best", "-o", "small.py/x.html"], "--output small.py"),
    (["compare"], "required: RUN"),
    (["compare", "small", "ffff"], "matches no run"),
    (["reproduce", "nothing"], "neither a run id"),
    (["promote", "small", "--n-refits", "0"], "at least 1"),
    (["ensemble", "small", "--method", "magic"], "greedy"),
    (["export", "small", "--to", "pdf"], "no format 'pdf'"),
    (["export", "small@nobody", "--to", "keras"], "nobody"),
    (["predict", "small", "no.csv"], "no file 'no.csv'"),
    (["predict", "small", "small.py"], ".csv"),
    (["predict", "small/99", "no.csv"], "99"),
    (["serve", "nothing"], "names no registered model"),
    (["serve", "small", "--port", "-1"], "--port"),
    (["ui", "--port", "99999"], "--port must be from 0 to 65535"),
]
