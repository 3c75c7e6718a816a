"""From what people bring to a sample: columns, which of them are labels, and the sample itself."""
