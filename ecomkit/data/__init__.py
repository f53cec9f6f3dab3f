"""What lies on disk or on the Hub, opened by name and checked against its manifest."""
