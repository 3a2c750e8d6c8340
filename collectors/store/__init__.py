"""The DuckDB file: schema, loading, rollups."""
