"""Which operations of TensorFlow depend on the number of threads, bit by bit?

    python scripts/check_operations.py [--threads 1,2] [--repeats 5]

Runs the operations of a training step in a process for each number of threads. Prints
the operations whose bits differ between these processes ("by threads") or between
repetitions in one process ("by chance"). Exit code 1 if there are any by chance.

By threads (TensorFlow 2.21, Intel AVX-512, 1 and 2 threads): products of matrices with
784 or more common columns (not with 200), and the gradients of convolution kernels,
of biases after convolutions and of batch normalization. By chance: none.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

DENSE = ((30, 16), (30, 1), (16, 1), (200, 64), (784, 128), (784, 10), (3000, 64))
CONVOLUTIONS = ((14, 1, 16), (14, 16, 32), (28, 1, 32), (28, 32, 32))
PADDING = {"strides": [1, 1, 1, 1], "padding": "SAME"}


def main() -> int:
    """Run every process, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(run(int(arguments.threads), arguments.repeats)))
        return 0
    found = [start(count, arguments.repeats) for count in arguments.threads.split(",")]
    by_chance = [
        name for name in found[0] if any(len(bits[name]) > 1 for bits in found)
    ]
    by_threads = [
        name for name in found[0] if len({str(bits[name]) for bits in found}) > 1
    ]
    for cause, names in (("by threads", by_threads), ("by chance", by_chance)):
        for name in names:
            print(f"{cause}: {name}")
    print(f"{len(found[0])} operations, {len(by_threads)} by threads, ", end="")
    print(f"{len(by_chance)} by chance")
    return int(bool(by_chance))


def start(threads: str, repeats: int) -> dict[str, list[str]]:
    """Return the digests of all operations in a process of its own."""
    words = [__file__, "--child", "--threads", threads, "--repeats", str(repeats)]
    done = subprocess.run(
        [sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True
    )
    answer: dict[str, list[str]] = json.loads(done.stdout)
    return answer


def run(threads: int, repeats: int) -> dict[str, list[str]]:
    """Return the different digests of each operation in this process."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()
    found = {}
    for name, function, arguments in operations(tf):
        compiled = tf.function(function)
        digests = {digest(compiled(*arguments)) for _ in range(repeats)}
        found[name] = sorted(digests)
    return found


def digest(results: Any) -> str:
    """Return a digest of one or several tensors."""
    results = results if isinstance(results, list | tuple) else [results]
    content = b"".join(np.asarray(result).tobytes() for result in results)
    return hashlib.sha256(content).hexdigest()[:8]


def operations(tf: Any) -> Iterator[tuple[str, Callable[..., Any], tuple[Any, ...]]]:
    """Yield name, function and arguments of each operation."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Any:
        return tf.constant(rng.normal(size=shape).astype("float32"))

    for rows in (64, 512):
        for inputs, units in DENSE:
            size = f"{rows}x{inputs}x{units}"
            x, kernel, change = (
                draw(rows, inputs),
                draw(inputs, units),
                draw(rows, units),
            )
            yield f"product {size}", tf.matmul, (x, kernel)
            yield f"product, kernel {size}", _kernel_gradient(tf), (x, change)
            yield f"product, input {size}", _input_gradient(tf), (change, kernel)
            yield f"sum of rows {size}", lambda c: tf.reduce_sum(c, 0), (change,)
    for side, channels, filters in CONVOLUTIONS:
        size = f"{side}x{side}x{channels}x{filters}"
        x, change = draw(64, side, side, channels), draw(64, side, side, filters)
        kernel = draw(3, 3, channels, filters)
        yield (
            f"convolution {size}",
            lambda x, k: tf.nn.conv2d(x, k, 1, "SAME"),
            (x, kernel),
        )
        yield (
            f"convolution, kernel {size}",
            lambda x, c, shape=kernel.shape: tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=shape, out_backprop=c, **PADDING
            ),
            (x, change),
        )
        yield (
            f"convolution, input {size}",
            lambda k, c, shape=x.shape: tf.raw_ops.Conv2DBackpropInput(
                input_sizes=shape, filter=k, out_backprop=c, **PADDING
            ),
            (kernel, change),
        )
        yield (
            f"bias {size}",
            lambda c: tf.raw_ops.BiasAddGrad(out_backprop=c),
            (change,),
        )
        yield f"batch normalization {size}", _normalize(tf), (change,)
        yield f"batch normalization, input {size}", _normalize_gradient(tf), (change,)
        yield f"pooling {size}", lambda c: tf.nn.max_pool2d(c, 2, 2, "SAME"), (change,)
    labels, logits = tf.constant(rng.integers(0, 10, 512)), draw(512, 10)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
    yield "cross-entropy", entropy, (labels, logits)
    yield "embedding", lambda c: tf.math.unsorted_segment_sum(c, labels, 10), (logits,)
    yield "sum of 1,000,000", tf.reduce_sum, (draw(1_000_000),)


def _kernel_gradient(tf: Any) -> Callable[..., Any]:
    return lambda x, change: tf.matmul(x, change, transpose_a=True)


def _input_gradient(tf: Any) -> Callable[..., Any]:
    return lambda change, kernel: tf.matmul(change, kernel, transpose_b=True)


def _normalize(tf: Any) -> Callable[..., Any]:
    def normalize(x: Any) -> Any:
        count = x.shape[-1]
        return tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.ones(count),
            offset=tf.zeros(count),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
        )[0]

    return normalize


def _normalize_gradient(tf: Any) -> Callable[..., Any]:
    normalize = _normalize(tf)
    return lambda x: tf.gradients(normalize(x) * x, x)


if __name__ == "__main__":
    sys.exit(main())
