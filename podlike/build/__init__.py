"""`build`: an image from a Dockerfile. docs/ARCHITECTURE.md, "Builds"."""
