"""The main job on this machine's local cloud, from request to proof that both ends are clean."""
