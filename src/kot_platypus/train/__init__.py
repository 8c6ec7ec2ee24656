"""Encoding, exact packing, fitting and merging."""
