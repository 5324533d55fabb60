/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads and writes the ends of connections in the contexts of socket hooks and in sockets. */
#ifndef TW_SK_ENDS_H
#define TW_SK_ENDS_H

#include "net.h"

/* user_port holds a be16 in its low half; the comment in the UAPI is wrong. */
static __always_inline void end_from4(struct bpf_sock_addr *ctx, struct tw_end *end)
{
	addr_map4(end->addr, ctx->user_ip4);
	end->port = (__be16)ctx->user_port;
}

static __always_inline void end_from6(struct bpf_sock_addr *ctx, struct tw_end *end)
{
	end->addr[0] = ctx->user_ip6[0];
	end->addr[1] = ctx->user_ip6[1];
	end->addr[2] = ctx->user_ip6[2];
	end->addr[3] = ctx->user_ip6[3];
	end->port = (__be16)ctx->user_port;
}

static __always_inline void end_to4(struct bpf_sock_addr *ctx, const struct tw_end *end)
{
	ctx->user_ip4 = end->addr[3];
	ctx->user_port = end->port;
}

static __always_inline void end_to6(struct bpf_sock_addr *ctx, const struct tw_end *end)
{
	ctx->user_ip6[0] = end->addr[0];
	ctx->user_ip6[1] = end->addr[1];
	ctx->user_ip6[2] = end->addr[2];
	ctx->user_ip6[3] = end->addr[3];
	ctx->user_port = end->port;
}

/* verifier: each field is loaded from the socket itself, before a branch selects one */
#define SOCK_LOAD(end, sk, ip4, ip6, mapped)          \
	do {                                          \
		__be32 four = (sk)->ip4;              \
                                                      \
		asm volatile("" : "+r"(four));        \
		(end)->addr[0] = (sk)->ip6[0];        \
		(end)->addr[1] = (sk)->ip6[1];        \
		(end)->addr[2] = (sk)->ip6[2];        \
		(end)->addr[3] = (sk)->ip6[3];        \
		asm volatile("" : : : "memory");      \
		if (mapped)                           \
			addr_map4((end)->addr, four); \
	} while (0)

/* Is a socket connected to `to`? */
static __always_inline bool sock_is_connected_to(struct bpf_sock *sk, const struct tw_end *to)
{
	struct tw_end end = {};

	end.port = (__be16)sk->dst_port;
	SOCK_LOAD(&end, sk, dst_ip4, dst_ip6, addr_is_mapped(to->addr));
	return end_equal(&end, to);
}

#endif
