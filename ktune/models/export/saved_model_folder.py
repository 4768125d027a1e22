"""A TensorFlow SavedModel that answers as ``predict`` does."""

from pathlib import Path
from typing import Any

from ktune.errors import ExportError

SIGNATURE = "serving_default"


def write_saved_model(model: Any, folder: Path) -> None:
    """Write a functional Keras model, batches of any size in, outputs out.

    Keras's own ``model.export`` leaves augmentation layers switched on (3.15), so that
    its answers are random; here the model is called as in prediction.

    Args:
        model: Functional, with named inputs.
        folder: To write.

    Raises:
        ExportError: Keras does not run on TensorFlow here.
    """
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"Keras runs on {keras.backend.backend()} here; SavedModel, TFLite and "
            "ONNX are written from TensorFlow. Set KERAS_BACKEND=tensorflow: the "
            "registered model is the same under every backend."
        )
    names = [tensor.name for tensor in model.inputs]
    specs = [
        tf.TensorSpec(tuple(tensor.shape), tensor.dtype, name=tensor.name)
        for tensor in model.inputs
    ]

    def serve(*tensors: Any) -> Any:
        inputs = dict(zip(names, tensors, strict=True))
        return model(inputs if len(names) > 1 else tensors[0], training=False)

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", fn=serve, input_signature=specs)
    archive.write_out(str(folder), verbose=False)
