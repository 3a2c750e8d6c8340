"""The demo's own small world: models that are really served, a proxy before them, traffic."""
