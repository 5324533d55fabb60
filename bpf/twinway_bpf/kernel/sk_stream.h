/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What kind of socket a packet is of. */
#ifndef TW_SK_STREAM_H
#define TW_SK_STREAM_H

#include "net.h"

#define TYPE_STREAM 1 /* SOCK_STREAM */

/* One connection's socket or its listener's, and not one that many share: raw, or the kernel's own. */
static __always_inline bool tcp_is_stream(const struct bpf_sock *sk)
{
	return sk->type == TYPE_STREAM && sk->protocol == PROTO_TCP;
}

#endif
