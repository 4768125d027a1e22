"""A refitted model: register, gate, promote, ensemble, predict, export."""
