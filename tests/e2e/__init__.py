"""The whole of it: the daemon between simulated APIs, on real sockets and a real outbox."""
