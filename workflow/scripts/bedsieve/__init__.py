"""bedsieve: find the bad ice thicknesses in Bedmap."""
