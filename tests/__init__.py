"""The tests: behaviour, on real files and sockets."""
