"""What a user writes: the experiment, its file, its checks, its sources."""
