"""What other rules would have made of the requests in an access log."""
