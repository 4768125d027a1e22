"""Which version of a registered model is champion: forward by the gate, and back."""
