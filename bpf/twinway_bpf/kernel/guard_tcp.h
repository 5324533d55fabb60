/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP at the guard. A SYN is judged here, so that a denied port is silent even if nobody listens on it. A
 * segment of an established connection is left to its socket, if the socket can have no other connection.
 */
#ifndef TW_GUARD_TCP_H
#define TW_GUARD_TCP_H

#include "glance.h"
#include "sk_kept.h"
#include "udp.h"

/*
 * A SYN-ACK without a socket is a SYN cookie (tcp_make_synack). Until the peer answers it, only the peer
 * knows of that connection, so the agent must not assume that there is none.
 */
static __always_inline void guard_note_cookie(const struct tw_pkt *pkt)
{
	struct tw_notes *notes = notes_get();

	if (notes && (pkt->tcp & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		notes->cookie = ct_now();
}

/*
 * A segment without a socket. Raw and packet sockets send such segments, and so does the kernel itself:
 * resets, SYN cookies in answer to a SYN that was allowed, and segments of TIME_WAIT.
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

/* A socket that connected. Its verdict is kept on it; a socket that has none is judged now. */
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
 * A socket that was accepted, or that connected before policy was there. However its connection began, it
 * is judged before its first segment leaves, and again after each change of policy. Every segment of a
 * listener is judged, because it has no connection of its own, and so is every segment of a socket whose
 * storage could not be allocated.
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

/* A lookup from another namespace does not find a socket that is bound to a device: its connection is remembered. */
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
	/* a request socket, which answers a SYN, or TIME_WAIT */
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
 * A SYN that ingress allows must be answered even if egress is denied and no socket answers it, so it is
 * remembered. Any other segment here belongs to no connection that the kernel keeps.
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
	/* the fast path may not have been able to read the segment */
	if (!glance_begins(pkt->tcp) &&
	    sk_kept(skb, view->local, view->remote, view->policy.netns, 0))
		return TW_GO_ON;
	return guard_arrives(pkt, view);
}

#endif
