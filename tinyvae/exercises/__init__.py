"""The checks of the tutorials' exercises: each says at once whether an answer is right, and if not,
what is wrong with it. One module for each notebook; `core` holds what they share.
"""
