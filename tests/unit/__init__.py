"""The small parts do what their names say, each by itself."""
