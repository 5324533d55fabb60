"""Policy at packets and at sockets: policy.h, guard.c and skb.c, and how policy at sockets becomes idle."""
