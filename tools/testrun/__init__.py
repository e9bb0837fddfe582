"""Runs the test layers one after another and ends with one table that hides nothing.

`__main__` reads the command line, `layers` knows what a layer consists of, `lint` and `molecule` hold the
two layers that are no pytest run, `process` runs one program, `report` counts and prints.
"""
