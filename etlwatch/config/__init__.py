"""Configuration: two TOML files, the environment and flags, each value with its source.

options    every option, declared once, and the checks of values
files      a file read into checked values, or all of its problems
settings   precedence: flag > environment > target > user's file > system's file, option by option
"""
