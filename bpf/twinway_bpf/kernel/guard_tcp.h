/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP at the guard. What begins is judged, so that a denied port is silent even where nobody listens. What
 * continues a connection is left to its socket, if that socket can only continue one.
 */
#ifndef TW_GUARD_TCP_H
#define TW_GUARD_TCP_H

#include "glance.h"
#include "sk_kept.h"
#include "udp.h"

/*
 * A SYN-ACK of no socket is a SYN cookie (tcp_make_synack): nobody but the peer knows of that beginning
 * until it goes on, and the agent must not think that there is none.
 */
static __always_inline void guard_note_cookie(const struct tw_pkt *pkt)
{
	struct tw_notes *notes = notes_get();

	if (notes && (pkt->tcp & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		notes->cookie = ct_now();
}

/*
 * Bound to no socket: whoever makes his own segments, with a raw socket or a packet one, has none. The
 * kernel's own resets are such, too, and SYN cookies, which answer what was let in, and TIME_WAIT's.
 */
static __always_inline int guard_without_socket(struct __sk_buff *skb, const struct tw_pkt *pkt,
						const struct tw_view *view)
{
	__u64 rule = 0;
	__u8 action = judge(view, PROTO_TCP, 1, &rule);

	guard_note_cookie(pkt);
	if (action == TW_ALLOW)
		return TW_GO_ON;
	if (judge_is_open(view, PROTO_TCP, 0) && udp_answers(view, PROTO_TCP, TW_UDP_RECEIVED))
		return TW_GO_ON;
	if (!glance_begins(pkt->tcp) &&
	    sk_kept(skb, view->local, view->remote, view->policy.netns, 1))
		return TW_GO_ON;
	return judged(view, action, rule, 1);
}

/* A socket that connected: policy, when it last looked, let its connection begin, or looks now. */
static __always_inline int guard_connected(const struct tw_view *view, struct tw_sk *given,
					   bool begins)
{
	int rc;

	if (!begins && given->begun)
		return TW_GO_ON;
	rc = judge_way(view, PROTO_TCP, 1);
	given->begun = !rc;
	return rc;
}

/*
 * A socket that was accepted, or is older than policy. Whoever made it, and however its connection
 * began: before its first segment leaves it is judged, and held to that until policy changes. A
 * listener has no connection to be held to, and a socket without memory for it is judged by each segment.
 */
static __always_inline int guard_accepted(struct __sk_buff *skb, struct bpf_sock *sk,
					  const struct tw_view *view, bool begins)
{
	struct tw_cfg *cfg = cfg_get();
	struct tw_skpol *known = 0;
	bool initiator = begins;
	__u32 rev = cfg ? cfg->rev + 1 : 0;
	__u64 rule = 0, cookie;
	__u8 action;

	if (sk->state != STATE_LISTEN)
		known = tw_skpol_v3.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (known && !begins && known->verdict == verdict_word(rev, TW_ALLOW))
		return TW_GO_ON;
	if (!begins) {
		cookie = bpf_get_socket_cookie(skb);
		initiator = tw_initiator_v1.lookup(&cookie);
	}
	action = judge(view, PROTO_TCP, initiator, &rule);
	if (known) {
		known->rule = rule;
		known->verdict = verdict_word(rev, action);
	}
	return judged(view, action, rule, initiator);
}

/* A socket that is bound to a device of its namespace is not found from another one: it is remembered. */
static __always_inline bool guard_is_hidden(struct __sk_buff *skb, struct bpf_sock *sk)
{
	return sk->bound_dev_if && sk->bound_dev_if != skb->ifindex;
}

static __always_inline int guard_leaves(struct __sk_buff *skb, const struct tw_pkt *pkt,
					const struct tw_view *view)
{
	bool begins = glance_begins(pkt->tcp);
	struct bpf_sock *sk = skb->sk;
	struct tw_sk *given;
	int rc;

	if (!sk)
		return guard_without_socket(skb, pkt, view);
	sk = bpf_sk_fullsock(sk);
	/* a request's, which answers what began, or a TIME_WAIT's */
	if (!sk)
		return pkt->tcp & TCP_SYN ? judge_way(view, PROTO_TCP, 0) : TW_GO_ON;
	if (!tcp_is_stream(sk))
		return guard_without_socket(skb, pkt, view);
	given = tw_sk_v2.sk_storage_get(sk, 0, 0);
	rc = given ? guard_connected(view, given, begins) : guard_accepted(skb, sk, view, begins);
	if (!rc && guard_is_hidden(skb, sk))
		udp_remember(view, PROTO_TCP, TW_UDP_SENT);
	return rc;
}

/*
 * What may begin although the pod could not speak to the peer of itself is answered, also where no
 * socket does. What goes on is of a connection that is kept (guard_goes_on), or begins as well.
 */
static __always_inline int guard_arrives(const struct tw_pkt *pkt, const struct tw_view *view)
{
	__u64 rule = 0;
	__u8 action = judge(view, PROTO_TCP, 0, &rule);

	if (action == TW_ALLOW) {
		if (!judge_is_open(view, PROTO_TCP, 1))
			udp_remember(view, PROTO_TCP, TW_UDP_RECEIVED);
		return TW_GO_ON;
	}
	if (!glance_begins(pkt->tcp) && udp_answers(view, PROTO_TCP, TW_UDP_SENT))
		return TW_GO_ON;
	return judged(view, action, rule, 0);
}

static __always_inline int guard_segment(struct __sk_buff *skb, const struct tw_pkt *pkt,
					 const struct tw_view *view, bool out)
{
	if (out)
		return guard_leaves(skb, pkt, view);
	/* what a glance could not make out is not known to be kept, either */
	if (!glance_begins(pkt->tcp) &&
	    sk_kept(skb, view->local, view->remote, view->policy.netns, 0))
		return TW_GO_ON;
	return guard_arrives(pkt, view);
}

#endif
