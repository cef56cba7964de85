"""What users open: CSVs, GeoParquet, tables, maps."""
