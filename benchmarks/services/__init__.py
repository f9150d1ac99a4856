"""The same tools, written for each contestant the way its users would write them."""
