"""A Korean data set from foreign sources: drawn, translated, checked, reviewed, cleaned."""
