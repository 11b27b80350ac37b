"""rules.yaml: from text with line and column to the snapshot that the edge obeys."""
