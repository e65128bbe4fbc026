"""In-context learning: linear attention, and the estimators it is compared with."""
