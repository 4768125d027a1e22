"""Write a TensorFlow SavedModel with the outputs of ``predict``."""

from pathlib import Path
from typing import Any

from ktune.errors import ExportError

SIGNATURE = "serving_default"


def write_saved_model(model: Any, folder: Path) -> None:
    """Write a functional Keras model for batches of any size.

    Keras's own ``model.export`` keeps augmentation layers active (3.15), so that its
    outputs are random; here the model is called as in prediction.

    Args:
        model: A functional model with named inputs.
        folder: Folder to write.

    Raises:
        ExportError: The Keras backend is not TensorFlow.
    """
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        raise ExportError(
            f"the Keras backend is {keras.backend.backend()}; SavedModel, TFLite and "
            "ONNX need TensorFlow. Set KERAS_BACKEND=tensorflow: the registered model "
            "works with every backend."
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
