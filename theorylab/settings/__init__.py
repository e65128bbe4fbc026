"""The settings, by family; a setting is one file until about 400 lines, then a folder."""
