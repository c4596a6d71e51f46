"""The two listeners against whatever a network sends: raw bytes over real sockets."""
