"""What a frame says: parse.h, packet.h, link.h and source.h."""
