"""Export registered models to other formats, each checked by its own runtime."""
