"""What sockets ask for, and which options they may set: sock.c and opt.c."""
