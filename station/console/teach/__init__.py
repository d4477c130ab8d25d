"""Teach: review what the station was unsure of, make a data set of it, train, compare, swap and roll back."""
