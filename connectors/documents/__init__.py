"""Documents of a handoff: they travel by reference, and the addressee fetches them by a right that ends."""
