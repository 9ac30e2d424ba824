"""Configuration: two files, the environment and the flags, each value with the place it came from.

    files      bytes of a file → a TOML table, and what may be wrong with the file itself
    schema     a table → checked values, or every problem in it
    effective  flag > environment > target > user's file > system's file, field by field
    keymap     the keys that a person chose, held against the commands there are

Pure but for reading files; knows neither a terminal nor Textual. Import from the modules: a command that needs no
configuration pays for none.
"""
