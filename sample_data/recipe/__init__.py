"""The recipe behind the shipped sample: source, flights, features, models, tables.

Only `sample_data/build.py` uses it; the console never does.
"""
