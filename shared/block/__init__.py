"""Reading blocks: columns of samples packed into a numbered, immutable piece of data."""
