"""What to tell the programs of each family, a module for each language.

``guide`` is the shape; the others are texts.  Every fact in them was tried against a
counting proxy, or is in the library's own documentation.
"""
