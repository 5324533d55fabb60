/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A socket call that names a peer: is it served here, and which backend does it get? */
#ifndef TW_SK_CALL_H
#define TW_SK_CALL_H

#include "sk_beside.h"
#include "sk_names.h"

/* A call, beside the address that the process wrote. */
struct sock_call {
	struct bpf_sock_addr *ctx;
	struct tw_peers *peers; /* of a UDP socket; NULL: it has asked no Service */
	__u32 now;
	bool connects; /* else it sends; the socket may be connected */
};

/* Are this socket's Services served here? Else its packets are translated by tc. */
static __always_inline bool sock_is_ours(struct bpf_sock_addr *ctx, const struct tw_cfg *cfg)
{
	return (cfg->flags & TW_CFG_PODS_AT_SOCKET) || bpf_get_netns_cookie(ctx) == cfg->host_netns;
}

/* May the socket call `to` by this name? Only if its answers can be given that name. */
static __always_inline bool sock_may_call(const struct sock_call *call, const struct tw_end *to,
					  const struct tw_end *name)
{
	struct bpf_sock *sk = call->ctx->sk;

	if (!peer_may_be(call->peers, to, name, call->now))
		return 0;
	if (call->connects)
		return !sock_is_shared(call->ctx, to, name);
	return !sk->dst_port || !sock_is_connected_to(sk, to) || sock_peer_is_called(sk, to, name);
}

#define CHOICES 4

/* Choose a random backend, or the next one if the socket cannot use that. */
static __always_inline int sock_choose(const struct sock_call *call, const struct tw_end *dst,
				       struct tw_choice *choice)
{
	__u32 random = bpf_get_prandom_u32() >> 1;
	struct tw_fe_key key = {};
	int rc = TW_DROP_RACE;

	addr_copy(key.addr, dst->addr);
	key.port = dst->port;
	key.proto = call->ctx->protocol == PROTO_MPTCP ? PROTO_TCP : call->ctx->protocol;
	for (int i = 0; i < CHOICES; i++) {
		rc = service_try(&key, random + i, choice);
		if (rc == TW_DROP_RACE)
			continue;
		if (rc || !choice->backend || sock_may_call(call, &choice->to, dst))
			return rc;
		rc = TW_REJECT_TAKEN;
		if (i + 1 >= choice->count)
			return rc;
	}
	return rc;
}

/* A datagram socket asks an address directly, which it may know by a Service's name, too. */
static __always_inline int sock_direct(struct sock_call *call, const struct tw_end *dst)
{
	struct bpf_sock *sk = call->ctx->sk;
	struct tw_choice itself = {};

	/* udpv6_sendmsg() names the peer itself if a v6 socket is connected to an IPv4 address */
	if (!call->connects && sk->family == FAMILY_INET6 && addr_is_mapped(dst->addr) &&
	    sk->dst_port && sock_is_connected_to(sk, dst))
		return TW_SOCKET_PASSED;
	if (!sock_may_call(call, dst, dst))
		return TW_REJECT_TAKEN;
	end_copy(&itself.to, dst);
	if (call->connects) {
		peer_rename(call->peers, dst, &itself);
		return TW_SOCKET_PASSED;
	}
	if ((!call->peers || !peer_find(call->peers, dst)) && !tw_udpbe_v1.lookup(&itself.to))
		return TW_SOCKET_PASSED;
	if (!call->peers)
		call->peers =
			tw_skpeer_v3.sk_storage_get(call->ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!call->peers || peer_remember(call->peers, dst, &itself, call->now))
		return TW_REJECT_NO_ROOM;
	return TW_SOCKET_PASSED;
}

#endif
