"""Protocols, scoring, generated answers, metrics and comparison."""
