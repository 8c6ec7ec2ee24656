"""The page on which a person decides about the rows in which a check found an error."""
