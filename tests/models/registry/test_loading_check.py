from ktune.models.registry.loading_check import remedy_for


def test_the_remedy_for_a_model_that_reads_a_file_names_it():
    error = "[Errno 2] No such file or directory: 'c.npy'"
    assert "read c.npy in `build`, outside of the layer" in remedy_for(error)
    assert remedy_for("model folder cannot be loaded: bad magic number") == ""
