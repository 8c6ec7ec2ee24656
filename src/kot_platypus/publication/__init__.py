"""A run or a data set, made ready for the Hub and sent there: nothing private, nothing half."""
