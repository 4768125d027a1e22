"""What all tests share."""

from hypothesis import settings

# The machine decides how long an example takes, not the code: no deadline. The same
# examples every time, so that a change is all that can turn a test red.
settings.register_profile("ktune", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("ktune")
