"""Two independent computations of a point-in-time training set.

They share the reading of definitions and files (`definitions`, `tables`), nothing with the product, and nothing with
each other where it matters: `brute` is the contract read aloud, row by row; `window` is one SQL window per view in
DuckDB. Both answer with row numbers of the log; `training_set` gathers the values from the files with pyarrow, so
that no engine ever touches a float. `compare` tells two training sets apart, cell by cell.
"""
