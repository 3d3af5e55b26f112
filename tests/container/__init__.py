"""The image, built and run by Podman: `make test-container`."""
