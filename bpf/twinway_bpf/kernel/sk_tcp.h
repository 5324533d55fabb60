/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP at its sockets. A socket is one connection and one side of it: one verdict, until policy
 * changes. A listener speaks for those not yet accepted: what begins is judged by packet.
 */
#ifndef TW_SK_TCP_H
#define TW_SK_TCP_H

#include "judge.h"
#include "sk_maps.h"

#define STATE_SYN_SENT 2 /* BPF_TCP_SYN_SENT */
#define STATE_LISTEN 10	 /* BPF_TCP_LISTEN */
#define TYPE_STREAM 1	 /* SOCK_STREAM */

/*
 * socket cookie -> which side it is (enum tw_side_of), of connections older than these programs.
 * Written by the agent when policy comes. Missing: it was accepted, for a SYN that left was seen.
 */
BPF_F_TABLE("hash", __u64, __u8, tw_side_v1, 65536, 1 /* BPF_F_NO_PREALLOC */);

/* One connection's socket or its listener's, and not one that many share: raw, or the kernel's own. */
static __always_inline bool tcp_is_stream(const struct bpf_sock *sk)
{
	return sk->type == TYPE_STREAM && sk->protocol == PROTO_TCP;
}

/* Does the packet open a connection, another one than whatever the socket had before? */
static __always_inline bool tcp_opens(const struct bpf_sock *sk, bool out)
{
	return out && sk->state == STATE_SYN_SENT;
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
	if (tcp_opens(sk, out))
		return 0;
	known = tw_skpol_v2.sk_storage_get(sk, 0, 0);
	return known && known->said == said_of(rev, TW_ALLOW, 0);
}

/* What is kept of a connection, made where there is nothing. Which side opens it is known now or never. */
static __always_inline struct tw_skpol *tcp_kept(struct bpf_sock *sk, bool out)
{
	struct tw_skpol *known = tw_skpol_v2.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (known && tcp_opens(sk, out)) {
		known->said = 0;
		known->side = TW_ACTIVE;
	}
	return known;
}

/* No policy concerns it, under this revision. */
static __always_inline void tcp_let_go(struct bpf_sock *sk, __u32 rev, bool out)
{
	struct tw_skpol *known = tcp_kept(sk, out);

	if (known)
		known->said = said_of(rev, TW_ALLOW, 0);
}

/* Of a connection that was not seen opening: an older one, or one that was accepted. */
static __always_inline __u8 tcp_side(struct __sk_buff *skb)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	__u8 *side = tw_side_v1.lookup(&cookie);

	return side ? *side : TW_PASSIVE;
}

static __always_inline int tcp_check(struct __sk_buff *skb, const struct tw_pkt *pkt,
				     struct bpf_sock *sk, const struct tw_view *view, __u32 rev,
				     bool out)
{
	struct tw_skpol *known = 0;
	__u8 side = TW_PASSIVE, action;
	__u64 rule = 0;

	if (sk->state == STATE_LISTEN) {
		/* what goes on is of a beginning that was heard, and judged by what it becomes */
		if (!(pkt->tcp & TCP_SYN))
			return TW_GO_ON;
	} else {
		known = tcp_kept(sk, out);
		if (!known)
			return TW_DROP_NO_ENTRY;
		if (!known->side)
			known->side = tcp_side(skb);
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
