"""One file per control plane."""
