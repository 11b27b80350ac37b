"""What answers each route; one module for each part of the API."""
