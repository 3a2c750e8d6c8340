"""Pure functions: rollup frames in, frozen snapshots out."""
