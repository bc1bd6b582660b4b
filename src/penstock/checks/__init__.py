"""Expectation suites in the format of Great Expectations, compiled into one SQL statement over one scan.

suites      a JSON file -> Suite, or everything that is wrong with it, each with its place
compiling   Suite + Table -> Compiled: SQL texts, and what their answers mean; pure
validating  carries the texts out by any function that can, and puts the answers into a result
engine      a locked DuckDB connection that is such a function
expectations/  one file for each type, or small family of types; the folder is the registry
"""
