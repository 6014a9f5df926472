"""The checks of the tutorials' exercises: each says at once whether an answer is right, and if not,
what is wrong with it. `judge` holds what they share, `failures` what is said of errors of Python.
"""
