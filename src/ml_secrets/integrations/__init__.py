"""Refreshers: credentials in the form that each library wants, current at each use. One file for each library.

A library is imported by the functions that use it. Where credentials come from is one seam: source.py.
"""
