/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP at its sockets. A socket is one connection and one side of it: one verdict, until policy
 * changes. A listener speaks for those not yet accepted: what begins is judged by packet.
 */
#ifndef TW_SK_TCP_H
#define TW_SK_TCP_H

#include "judge.h"
#include "sk_maps.h"

#define STATE_LISTEN 10 /* BPF_TCP_LISTEN */
#define TYPE_STREAM 1	/* SOCK_STREAM */

/*
 * socket cookie -> which side it is (enum tw_side_of), of connections older than tw_sockops.
 * Written by the agent when policy comes. Missing: asked of who listens now.
 */
BPF_F_TABLE("hash", __u64, __u8, tw_side_v1, 65536, 1 /* BPF_F_NO_PREALLOC */);

/* One connection's socket or its listener's, and not one that many share: raw, or the kernel's own. */
static __always_inline bool tcp_is_stream(const struct bpf_sock *sk)
{
	return sk->type == TYPE_STREAM && sk->protocol == PROTO_TCP;
}

/*
 * First of all: most packets are of a connection that was judged, and may go on. What a listener
 * sends answers what it was allowed to hear. (It may have been connected once, to somebody else.)
 */
static __always_inline bool tcp_was_allowed(struct bpf_sock *sk, __u32 rev, bool out)
{
	struct tw_skpol *known;

	if (sk->state == STATE_LISTEN)
		return out;
	known = tw_skpol_v2.sk_storage_get(sk, 0, 0);
	return known && known->said == said_of(rev, TW_ALLOW, 0);
}

/* No policy concerns it, under this revision. */
static __always_inline void tcp_let_go(struct bpf_sock *sk, __u32 rev)
{
	struct tw_skpol *known = tw_skpol_v2.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (known)
		known->said = said_of(rev, TW_ALLOW, 0);
}

/* Is somebody listening where this connection's local end is? Then it was accepted. */
static __always_inline bool tcp_is_listened(struct __sk_buff *skb, const struct tw_pkt *pkt,
					    const struct tw_end *local)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	bool listens;

	if (pkt->v6) {
		addr_copy(tuple.ipv6.daddr, local->addr);
		tuple.ipv6.dport = local->port;
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple.ipv4.daddr = local->addr[3];
		tuple.ipv4.dport = local->port;
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return 0;
	listens = sk->state == STATE_LISTEN;
	bpf_sk_release(sk);
	return listens;
}

/* Of a connection that tw_sockops did not see beginning. */
static __always_inline __u8 tcp_side(struct __sk_buff *skb, const struct tw_pkt *pkt,
				     const struct tw_end *local)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	__u8 *side = tw_side_v1.lookup(&cookie);

	if (side)
		return *side;
	return tcp_is_listened(skb, pkt, local) ? TW_PASSIVE : TW_ACTIVE;
}

static __always_inline int tcp_check(struct __sk_buff *skb, const struct tw_pkt *pkt,
				     struct bpf_sock *sk, const struct tw_view *view, __u32 rev)
{
	struct tw_skpol *known = 0;
	__u8 side = TW_PASSIVE, action;
	__u64 rule = 0;

	if (sk->state == STATE_LISTEN) {
		/* what goes on is of a beginning that was heard, and judged by what it becomes */
		if (!(pkt->tcp & TCP_SYN))
			return TW_GO_ON;
	} else {
		known = tw_skpol_v2.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!known)
			return TW_DROP_NO_ENTRY;
		if (!known->side)
			known->side = tcp_side(skb, pkt, view->local);
		side = known->side;
		if ((__u32)known->said == rev)
			return judged(said_way(known->said, 1), known->rule, side == TW_ACTIVE);
	}
	action = judge(view, PROTO_TCP, side == TW_ACTIVE, &rule);
	if (known) {
		known->rule = rule;
		known->said = said_of(rev, action, 0);
	}
	return judged(action, rule, side == TW_ACTIVE);
}

#endif
