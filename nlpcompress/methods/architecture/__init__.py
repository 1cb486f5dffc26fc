"""Many networks in one: what is first counts most, and smaller ones are its beginnings."""
