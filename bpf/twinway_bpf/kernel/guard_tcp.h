/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP at the guard. A SYN is judged here, so that a denied port is silent even if nobody listens on it. A
 * segment of an established connection is left to its socket, if the socket can have no other connection.
 */
#ifndef TW_GUARD_TCP_H
#define TW_GUARD_TCP_H

#include "glance.h"
#include "kept.h"
#include "sk_kept.h"
#include "udp.h"

#define SHORT_SEGMENTS 8 /* a connection that sent no more is short */

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
 * Has a socket sent so much that a verdict is worth storing on it? To allocate storage takes longer than to judge
 * a segment. BPF_SK_STORAGE_GET_F_CREATE if so, else 0.
 */
static __always_inline __u64 guard_is_long(struct bpf_sock *sk)
{
	struct bpf_tcp_sock *tcp = bpf_tcp_sock(sk);

	return !tcp || tcp->segs_out > SHORT_SEGMENTS;
}

/*
 * A socket that was accepted, or that connected before policy was there. However its connection began, it
 * is judged before its first segment leaves, and again after each change of policy. While it has sent little,
 * its verdict is remembered (kept.h); after that, it is stored on the socket. Every segment of a listener is
 * judged, because it has no connection of its own, and so is every segment of a longer connection whose
 * storage could not be allocated.
 */
static __always_inline int guard_accepted(struct __sk_buff *skb, struct bpf_sock *sk,
					  const struct tw_view *view, bool begins)
{
	struct tw_skpol *known = 0;
	bool initiator = begins;
	__u64 is_long = guard_is_long(sk);
	__u32 rev = view->rev + 1;
	__u64 rule = 0, cookie;
	__u8 action;

	if (sk->state != STATE_LISTEN)
		known = tw_skpol_v3.sk_storage_get(sk, 0, is_long);
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
	} else if (!is_long && action == TW_ALLOW && !initiator) {
		kept_note(skb, view, 1, TW_KEPT_HERE | TW_KEPT_ACCEPTED);
	}
	return judged(view, action, rule, initiator);
}

/* A lookup from another namespace does not find a socket that is bound to a device: its connection is remembered. */
static __always_inline bool guard_is_hidden(struct __sk_buff *skb, struct bpf_sock *sk)
{
	return sk->bound_dev_if && sk->bound_dev_if != skb->ifindex;
}

/* A request's SYN-ACK. What is remembered of it serves the connection's next segments, both ways. */
static __always_inline int guard_answers(struct __sk_buff *skb, const struct tw_view *view)
{
	int rc = judge_way(view, PROTO_TCP, 0);

	if (!rc)
		kept_note(skb, view, 1, TW_KEPT_SYN | TW_KEPT_HERE | TW_KEPT_ACCEPTED);
	return rc;
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
		return pkt->tcp & TCP_SYN ? guard_answers(skb, view) : TW_GO_ON;
	if (!tcp_is_stream(sk))
		return guard_without_socket(skb, pkt, view);
	given = tw_sk_v2.sk_storage_get(sk, 0, 0);
	rc = given ? guard_connected(view, given, begins) : guard_accepted(skb, sk, view, begins);
	if (!rc && guard_is_hidden(skb, sk))
		udp_remember(view, PROTO_TCP, TW_UDP_SENT);
	return rc;
}

/* TW_KEPT_SYN if the segment begins a connection, else 0. verifier: without a branch. */
static __always_inline __u32 guard_syn(__u8 flags)
{
	return (flags / TCP_SYN) & ~(flags / TCP_ACK) & TW_KEPT_SYN;
}

/*
 * A SYN that ingress allows must be answered even if egress is denied and no socket answers it, so it is
 * remembered. Any other segment here belongs to no connection that the kernel keeps.
 */
static __always_inline int guard_arrives(struct __sk_buff *skb, const struct tw_pkt *pkt,
					 const struct tw_view *view)
{
	__u64 rule = 0;
	__u8 action = judge(view, PROTO_TCP, 0, &rule);

	if (action == TW_ALLOW) {
		if (!judge_is_open(view, PROTO_TCP, 1))
			udp_remember(view, PROTO_TCP, TW_UDP_RECEIVED);
		kept_note(skb, view, 0, guard_syn(pkt->tcp));
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
	return guard_arrives(skb, pkt, view);
}

#endif
