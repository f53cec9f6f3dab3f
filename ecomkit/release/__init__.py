"""What goes out: the three datasets, published; a small shop to try things on."""
