"""From a survey's CSV to harmonised points, tracks and a ledger."""
