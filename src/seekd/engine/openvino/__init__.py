"""Models of common architectures on OpenVINO's kernels: its paged attention over keys and values that are ours."""
