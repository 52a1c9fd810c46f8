"""What is known about a book without playing it."""
