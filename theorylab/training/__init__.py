"""Compiled trainers shared by the settings."""
