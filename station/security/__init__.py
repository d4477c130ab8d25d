"""Who may listen, ask and command from other computers: keys, who is known by them, and the sockets that check it."""
