"""HTTP/1.1 as bytes: heads, fields, framing, targets, dates."""
