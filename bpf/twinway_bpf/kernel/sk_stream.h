/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The kind of a socket. */
#ifndef TW_SK_STREAM_H
#define TW_SK_STREAM_H

#include "net.h"

#define TYPE_STREAM 1 /* SOCK_STREAM */

/* A TCP socket with one connection, or a listener; not a raw socket, and not one of the kernel. */
static __always_inline bool tcp_is_stream(const struct bpf_sock *sk)
{
	return sk->type == TYPE_STREAM && sk->protocol == PROTO_TCP;
}

#endif
