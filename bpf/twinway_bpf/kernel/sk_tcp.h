/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP at its sockets. A socket is one connection and one side of it: one verdict, until policy
 * changes. A listener speaks for those not yet accepted: what begins is judged by packet.
 */
#ifndef TW_SK_TCP_H
#define TW_SK_TCP_H

#include "judge.h"
#include "sk_maps.h"
#include "sk_stream.h"

#define STATE_LISTEN 10 /* BPF_TCP_LISTEN */

/*
 * socket cookie -> nothing: sockets that connected before anybody noted it on them (tw_sk).
 * Written by the agent when policy comes. Missing: see there.
 */
BPF_F_TABLE("hash", __u64, __u8, tw_opener_v1, 65536, 1 /* BPF_F_NO_PREALLOC */);

/* One judgement in one word. */
static __always_inline __u64 said_of(__u32 rev, __u8 action)
{
	return rev | (__u64)action << 32;
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
	known = tw_skpol_v3.sk_storage_get(sk, 0, 0);
	return known && known->said == said_of(rev, TW_ALLOW);
}

/* No policy concerns it, under this revision. */
static __always_inline void tcp_let_go(struct bpf_sock *sk, __u32 rev)
{
	struct tw_skpol *known = tw_skpol_v3.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (known)
		known->said = said_of(rev, TW_ALLOW);
}

/* Did the socket connect? Else it was accepted. `given` is what is noted of it, or NULL. */
static __always_inline bool tcp_is_opener(struct __sk_buff *skb, struct bpf_sock *sk,
					  struct tw_sk **given)
{
	__u64 cookie;

	*given = tw_sk_v2.sk_storage_get(sk, 0, 0);
	if (*given)
		return 1;
	cookie = bpf_get_socket_cookie(skb);
	return tw_opener_v1.lookup(&cookie);
}

static __always_inline int tcp_check(struct __sk_buff *skb, const struct tw_pkt *pkt,
				     struct bpf_sock *sk, const struct tw_view *view, __u32 rev)
{
	struct tw_skpol *known = 0;
	struct tw_sk *given = 0;
	bool opener = 0;
	__u8 action;
	__u64 rule = 0;

	if (sk->state == STATE_LISTEN) {
		/* what goes on is of a beginning that was heard, and judged by what it becomes */
		if (!(pkt->tcp & TCP_SYN))
			return TW_GO_ON;
	} else {
		known = tw_skpol_v3.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!known)
			return TW_DROP_NO_ENTRY;
		opener = tcp_is_opener(skb, sk, &given);
		if ((__u32)known->said == rev)
			return judged(view, known->said >> 32, known->rule, opener);
	}
	action = judge(view, PROTO_TCP, opener, &rule);
	if (known) {
		known->rule = rule;
		known->said = said_of(rev, action);
	}
	if (given && action != TW_ALLOW)
		given->begun = 0;
	return judged(view, action, rule, opener);
}

#endif
