"""What ``theorylab new`` writes: real files, which run and are checked as they stand."""
