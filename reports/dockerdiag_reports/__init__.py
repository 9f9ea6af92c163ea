"""The formats that a report can be rendered in, one module each."""
