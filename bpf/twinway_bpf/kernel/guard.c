/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Beside policy at sockets, at the device of a pod under a policy: what begins there, and what no
 * socket answers for.
 *
 * TCP: beginnings are judged, so that a denied port is silent even where nobody listens; what goes on
 * is left to its socket, if that is one that can only go on. Everything else is judged packet by
 * packet, in its own direction: where that is denied, it must answer something that passed (udp.h).
 *
 *     host side of a veth: tw_guard_to (egress), tw_guard_from (ingress); else the pod's own device
 *     the pod's loopback: tw_guard_self (egress)
 */
#include "glance.h"
#include "judge.h"
#include "link.h"
#include "sk_self.h"
#include "sk_stream.h"
#include "source.h"
#include "udp.h"

static __always_inline int guard_way(const struct tw_view *view, __u8 proto, bool egress)
{
	__u64 rule = 0;
	__u8 action = judge(view, proto, egress, &rule);

	return judged(view, action, rule, egress);
}

static __always_inline int guard_either(const struct tw_view *view, __u8 proto, bool out)
{
	__u64 rule = 0;

	if (judge(view, proto, !out, &rule) == TW_ALLOW)
		return TW_GO_ON;
	return guard_way(view, proto, out);
}

/*
 * Is a segment from the pod of a connection that the kernel keeps? Whoever makes his own, with a raw
 * socket or a packet one, is bound to none. Missing: segments that were cut on their way here.
 * `given` is of a socket that connected; others were accepted, or are older than policy.
 */
static __always_inline bool guard_is_kept(struct __sk_buff *skb, struct tw_sk **given)
{
	struct bpf_sock *sk = skb->sk;

	*given = 0;
	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1; /* a request's, or a TIME_WAIT's */
	if (!tcp_is_stream(sk))
		return 0;
	*given = tw_sk_v2.sk_storage_get(sk, 0, 0);
	return 1;
}

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
 * A socket can be made to go on with what never began (TCP_REPAIR): one that connected may go on
 * when it was let to begin, here, and from its own address.
 */
static __always_inline int guard_leaves(struct __sk_buff *skb, const struct tw_pkt *pkt,
					const struct tw_view *view)
{
	bool begins = glance_begins(pkt->tcp);
	struct tw_sk *given;
	int rc;

	if (!guard_is_kept(skb, &given)) {
		guard_note_cookie(pkt);
		return begins ? guard_way(view, PROTO_TCP, 1) : guard_either(view, PROTO_TCP, 1);
	}
	if (!begins && (!given || given->begun))
		return TW_GO_ON;
	rc = guard_way(view, PROTO_TCP, 1);
	if (given)
		given->begun = !rc;
	return rc;
}

static __always_inline int guard_segment(struct __sk_buff *skb, const struct tw_pkt *pkt,
					 const struct tw_view *view, bool out)
{
	if (out)
		return guard_leaves(skb, pkt, view);
	return glance_begins(pkt->tcp) ? guard_way(view, PROTO_TCP, 0) : TW_GO_ON;
}

/*
 * Fragments of one datagram, as if they were packets between ports that its identification makes.
 * Its head may have options behind the fragment header: then what follows is not known by it, and lost.
 */
static __always_inline int guard_fragment_ends(struct __sk_buff *skb, const struct tw_pkt *pkt,
					       struct tw_end *local, struct tw_end *remote)
{
	__be16 id[2] = {};
	int rc;

	if (pkt->v6)
		rc = bpf_skb_load_bytes(skb, pkt->l4 - 4, id, 4);
	else
		rc = bpf_skb_load_bytes(skb, ETH_HLEN + 4, id, 2);
	local->port = id[0];
	remote->port = id[1];
	return rc;
}

/*
 * A head is judged, and what follows passes after it alone: else it would carry anything to anybody
 * who reads fragments. Heads go first, as kernels send them.
 */
static __always_inline int guard_fragment(struct __sk_buff *skb, const struct tw_pkt *pkt,
					  const struct tw_view *whole, bool out)
{
	__u8 flag = out ? TW_UDP_SENT : TW_UDP_RECEIVED;
	struct tw_end local = {}, remote = {};
	struct tw_view view = {.local = &local, .remote = &remote};

	addr_copy(local.addr, whole->local->addr);
	addr_copy(remote.addr, whole->remote->addr);
	if (guard_fragment_ends(skb, pkt, &local, &remote))
		return TW_DROP_SHORT;
	if (pkt->frag == TW_FRAG_LATER)
		return udp_answers(&view, PROTO_FRAGMENT, flag) ? TW_GO_ON : TW_DROP_FRAGMENT;
	udp_remember(&view, PROTO_FRAGMENT, flag);
	return TW_GO_ON;
}

/*
 * An error from the pod tells of a packet it was sent: told only to whom might send it. One for
 * the pod tells of a packet of its own.
 */
static __always_inline int guard_error(struct __sk_buff *skb, const struct tw_pkt *pkt, bool out)
{
	struct tw_view view = {};
	struct tw_pkt quoted = {};
	int rc = parse_quoted(skb, pkt, &quoted);

	if (rc)
		return rc;
	view_set(&view, &quoted, !out);
	if (!view.turn.set)
		return TW_GO_ON;
	return out ? guard_way(&view, quoted.proto, 0) : guard_either(&view, quoted.proto, 1);
}

static __always_inline int guard_judge(struct __sk_buff *skb, const struct tw_pkt *pkt,
				       const struct tw_view *view, bool out)
{
	if (pkt->proto == PROTO_TCP)
		return guard_segment(skb, pkt, view, out);
	if (pkt->icmp == TW_ICMP_ERROR)
		return guard_error(skb, pkt, out);
	return udp_check(view, pkt->proto, out);
}

static __always_inline int guard_check(struct __sk_buff *skb, struct tw_pkt *pkt, bool out)
{
	struct tw_view view = {};
	int rc = parse(skb, pkt);

	if (out)
		rc = link_from_pod(skb, pkt, rc);
	if (rc)
		return rc;
	if (out) {
		rc = source_check(skb, pkt);
		if (rc)
			return rc;
	}
	view_set(&view, pkt, out);
	if (!view.turn.set)
		return TW_PASS_STACK;
	if (pkt->frag != TW_FRAG_LATER)
		rc = guard_judge(skb, pkt, &view, out);
	if (!rc && pkt->frag)
		rc = guard_fragment(skb, pkt, &view, out);
	return rc ? rc : TW_PASS_STACK;
}

/* Most packets: of a connection that goes on, under the pod's own address. */
static __always_inline bool guard_goes_on(struct __sk_buff *skb, bool out)
{
	struct tw_addr src;
	struct tw_sk *given;

	if (!glance_goes_on(skb, &src))
		return 0;
	if (!out)
		return 1;
	if (source_is_tagged(skb) || !guard_is_kept(skb, &given))
		return 0;
	return given ? given->begun : source_is_still_own(skb, src.addr);
}

static __always_inline int guard_ends(int reason)
{
	if (reason < TW_FIRST_DROPPED)
		return TC_ACT_UNSPEC;
	verdict_count(reason);
	return TC_ACT_SHOT;
}

static __always_inline int guard_finish(struct __sk_buff *skb, bool out)
{
	struct tw_pkt pkt = {};

	if (guard_goes_on(skb, out))
		return TC_ACT_UNSPEC;
	return guard_ends(guard_check(skb, &pkt, out));
}

/* pod → [its device] */
int tw_guard_from(struct __sk_buff *skb)
{
	return guard_finish(skb, 1);
}

/* [its device] → pod */
int tw_guard_to(struct __sk_buff *skb)
{
	return guard_finish(skb, 0);
}

/* What a pod says to itself through a Service. The rest of its loopback is its own. */
static __always_inline int guard_own(struct __sk_buff *skb)
{
	struct tw_pkt pkt = {};
	struct tw_addr src;
	struct bpf_sock *sk = skb->sk;

	if (glance_goes_on(skb, &src) || !sk)
		return TW_GO_ON;
	sk = bpf_sk_fullsock(sk);
	if (!sk || parse(skb, &pkt) || !addr_equal(pkt.src.addr, pkt.dst.addr))
		return TW_GO_ON;
	return self_check(sk, &pkt);
}

/* pod → [lo] → pod */
int tw_guard_self(struct __sk_buff *skb)
{
	return guard_ends(guard_own(skb));
}
