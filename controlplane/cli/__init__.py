"""The `rempart` command: a person's and a script's door, through the SDK alone."""
