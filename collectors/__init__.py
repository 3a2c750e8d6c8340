"""From a source to the store: contract, sources, formats, quality, rollups."""
