/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds another socket on the same port whose answers could not be distinguished from this one's. */
#ifndef TW_SK_BESIDE_H
#define TW_SK_BESIDE_H

#include "sk_ends.h"
#include "sk_maps.h"

/* Does the process of a connected socket know its peer by this name? */
static __always_inline bool sock_peer_is_called(struct bpf_sock *sk, const struct tw_end *to,
						const struct tw_end *name)
{
	struct tw_sk *given = tw_sk_v2.sk_storage_get(sk, 0, 0);

	if (given && given->backend && end_equal(&given->to, to))
		return end_equal(&given->vip, name);
	return end_equal(to, name);
}

/* The socket with a connection from this socket's address and port to `to`. The caller releases it. */
static __always_inline struct bpf_sock *sock_beside(struct bpf_sock_addr *ctx,
						    const struct tw_end *to, __u32 protocol)
{
	struct bpf_sock_tuple tuple = {};
	bool mapped = addr_is_mapped(to->addr);
	__be16 port = be16((__u16)ctx->sk->src_port);
	struct tw_end own = {};
	__u32 size = sizeof(tuple.ipv6);

	SOCK_LOAD(&own, ctx->sk, src_ip4, src_ip6, mapped);
	if (mapped) {
		tuple.ipv4.saddr = to->addr[3];
		tuple.ipv4.daddr = own.addr[3];
		tuple.ipv4.sport = to->port;
		tuple.ipv4.dport = port;
		size = sizeof(tuple.ipv4);
	} else {
		addr_copy(tuple.ipv6.saddr, to->addr);
		addr_copy(tuple.ipv6.daddr, own.addr);
		tuple.ipv6.sport = to->port;
		tuple.ipv6.dport = port;
	}
	if (protocol == PROTO_UDP)
		return bpf_sk_lookup_udp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
	return bpf_sk_lookup_tcp(ctx, &tuple, size, BPF_F_CURRENT_NETNS, 0);
}

/*
 * Does another socket on the same port have a connection to `to` that could not be distinguished from this
 * one? TCP allows no such pair at all. This cannot find sockets that are bound to no address, because their
 * own address is not known yet.
 */
static __always_inline bool sock_is_shared(struct bpf_sock_addr *ctx, const struct tw_end *to,
					   const struct tw_end *name)
{
	struct bpf_sock *other;
	bool shared = 0;

	if (!ctx->sk->src_port)
		return 0;
	other = sock_beside(ctx, to, ctx->protocol);
	if (!other)
		return 0;
	if (other != ctx->sk && sock_is_connected_to(other, to))
		shared = ctx->protocol != PROTO_UDP || !sock_peer_is_called(other, to, name);
	bpf_sk_release(other);
	return shared;
}

#endif
