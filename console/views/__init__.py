"""Snapshots into tables, plots and sentences, without a terminal."""
