//! What a user sees, tested through the binary and a socket.
