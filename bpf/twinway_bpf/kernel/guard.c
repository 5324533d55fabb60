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
 *     the pod's loopback: tw_guard_lo (ingress), tw_guard_self (egress)
 */
#include "around.h"
#include "device.h"
#include "glance.h"
#include "judge.h"
#include "kept.h"
#include "link.h"
#include "sk_kept.h"
#include "sk_self.h"
#include "source.h"
#include "udp.h"

static __always_inline int guard_way(const struct tw_view *view, __u8 proto, bool egress)
{
	__u64 rule = 0;
	__u8 action = judge(view, proto, egress, &rule);

	return judged(view, action, rule, egress);
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

static __always_inline bool guard_is_open(const struct tw_view *view, __u8 proto, bool egress)
{
	__u64 rule;

	return judge(view, proto, egress, &rule) == TW_ALLOW;
}

/*
 * Bound to no socket: whoever makes his own segments, with a raw socket or a packet one, has none. The
 * kernel's own resets are such, too, and SYN cookies, which answer what was let in, and TIME_WAIT's.
 */
static __always_inline int guard_made_up(struct __sk_buff *skb, const struct tw_pkt *pkt,
					 const struct tw_view *view)
{
	__u64 rule = 0;
	__u8 action = judge(view, PROTO_TCP, 1, &rule);

	guard_note_cookie(pkt);
	if (action == TW_ALLOW)
		return TW_GO_ON;
	if (guard_is_open(view, PROTO_TCP, 0) && udp_answers(view, PROTO_TCP, TW_UDP_RECEIVED))
		return TW_GO_ON;
	if (!glance_begins(pkt->tcp) &&
	    sk_kept(skb, view->local, view->remote, view->turn.netns, 1))
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
	rc = guard_way(view, PROTO_TCP, 1);
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
	bool opener = begins;
	__u32 rev = cfg ? cfg->rev + 1 : 0;
	__u64 rule = 0, cookie;
	__u8 action;

	if (sk->state != STATE_LISTEN)
		known = tw_skpol_v3.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (known && !begins && known->said == said_of(rev, TW_ALLOW))
		return TW_GO_ON;
	if (!begins) {
		cookie = bpf_get_socket_cookie(skb);
		opener = tw_opener_v1.lookup(&cookie);
	}
	action = judge(view, PROTO_TCP, opener, &rule);
	if (known) {
		known->rule = rule;
		known->said = said_of(rev, action);
	}
	return judged(view, action, rule, opener);
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
		return guard_made_up(skb, pkt, view);
	sk = bpf_sk_fullsock(sk);
	/* a request's, which answers what began, or a TIME_WAIT's */
	if (!sk)
		return pkt->tcp & TCP_SYN ? guard_way(view, PROTO_TCP, 0) : TW_GO_ON;
	if (!tcp_is_stream(sk))
		return guard_made_up(skb, pkt, view);
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
		if (!guard_is_open(view, PROTO_TCP, 1))
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
	    sk_kept(skb, view->local, view->remote, view->turn.netns, 0))
		return TW_GO_ON;
	return guard_arrives(pkt, view);
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
 * Is there what an error quotes? It is told to whom sent that, by the pod of what was sent to it. Of
 * TCP a connection that is kept; of others something remembered, or nothing that would have been.
 */
static __always_inline bool guard_is_related(struct __sk_buff *skb, const struct tw_pkt *pkt,
					     const struct tw_pkt *quoted, bool out)
{
	struct tw_view view = {};

	if (!addr_equal(pkt->dst.addr, quoted->src.addr) ||
	    (out && !addr_equal(pkt->src.addr, quoted->dst.addr)))
		return 0;
	view_set(&view, quoted, !out);
	if (quoted->proto == PROTO_TCP) {
		if (sk_kept(skb, view.local, view.remote, view.turn.netns, 0))
			return 1;
		/* no peer of a connection alone tells the pod of it: nobody else's word will do */
		if (!out)
			return udp_answers(&view, PROTO_TCP, TW_UDP_SENT);
	}
	if (!guard_is_open(&view, quoted->proto, !out))
		return 0;
	return guard_is_open(&view, quoted->proto, out) ||
	       udp_answers(&view, quoted->proto, out ? TW_UDP_RECEIVED : TW_UDP_SENT);
}

/* An error that tells of nothing that is there is a packet like any other. */
static __always_inline int guard_error(struct __sk_buff *skb, const struct tw_pkt *pkt,
				       const struct tw_view *view, bool out)
{
	struct tw_pkt quoted = {};
	int rc = parse_quoted(skb, pkt, &quoted);

	if (rc)
		return rc;
	if (guard_is_related(skb, pkt, &quoted, out))
		return TW_GO_ON;
	return udp_check(view, pkt->proto, out);
}

static __always_inline int guard_judge(struct __sk_buff *skb, const struct tw_pkt *pkt,
				       const struct tw_view *view, bool out)
{
	if (pkt->proto == PROTO_TCP)
		return guard_segment(skb, pkt, view, out);
	if (pkt->icmp == TW_ICMP_ERROR)
		return guard_error(skb, pkt, view, out);
	return udp_check(view, pkt->proto, out);
}

static __always_inline int guard_check(struct __sk_buff *skb, struct tw_pkt *pkt, bool out)
{
	struct tw_view view = {};
	int rc = parse(skb, pkt);

	if (out)
		rc = link_from_pod(skb, pkt, rc);
	/* nobody knows what it says, and the guard stands where policy is */
	if (rc == TW_PASS_NOT_IP && skb->protocol != be16(ETH_ARP))
		return TW_DROP_NOT_IP;
	if (rc)
		return rc;
	if (out) {
		rc = source_check(skb, pkt);
		if (rc)
			return rc;
	}
	view_set(&view, pkt, out);
	if (!out && view.turn.kind != TW_EP_POD)
		device_turn(skb, &view.turn, device_is_pods(skb));
	if (!view.turn.set)
		return TW_PASS_STACK;
	if (!out && view.node)
		view.node = device_node_sends(skb, pkt, device_is_pods(skb));
	udp_begin();
	if (pkt->frag != TW_FRAG_LATER)
		rc = guard_judge(skb, pkt, &view, out);
	if (!rc && pkt->frag)
		rc = guard_fragment(skb, pkt, &view, out);
	if (rc)
		return rc;
	udp_commit();
	return TW_PASS_STACK;
}

/* Of a connection that the pod's kernel keeps, or kept a moment ago? */
static __always_inline bool guard_is_kept(struct __sk_buff *skb, struct tw_kept *wanted)
{
	struct tw_kept *known = kept_place(wanted);
	struct tw_cfg *cfg = cfg_get();
	struct tw_ep *ep;

	if (!known || !cfg)
		return 0;
	wanted->ifindex = skb->ifindex;
	wanted->rev = cfg->rev;
	wanted->asked = ct_now() + 1;
	if (kept_is(known, wanted))
		return 1;
	ep = ep_get(wanted->local.addr);
	if (!ep || !ep->policy || !sk_kept(skb, &wanted->local, &wanted->remote, ep->netns, 0))
		return 0;
	*known = *wanted;
	return 1;
}

/* Of a socket whose connection was judged, and its address with it? */
static __always_inline bool guard_is_judged(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct tw_skpol *known;
	struct tw_cfg *cfg;
	struct tw_sk *given;

	if (!sk || source_is_tagged(skb))
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk || !tcp_is_stream(sk) || guard_is_hidden(skb, sk))
		return 0;
	given = tw_sk_v2.sk_storage_get(sk, 0, 0);
	if (given)
		return given->begun;
	known = tw_skpol_v3.sk_storage_get(sk, 0, 0);
	cfg = cfg_get();
	return known && cfg && known->said == said_of(cfg->rev + 1, TW_ALLOW);
}

/* Most packets: of a connection that goes on. */
static __always_inline bool guard_goes_on(struct __sk_buff *skb, bool out)
{
	struct tw_kept seen = {};

	/* what leaves is not asked for by its ends */
	if (!glance_goes_on(skb, &seen.remote, &seen.local))
		return 0;
	return out ? guard_is_judged(skb) : guard_is_kept(skb, &seen);
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

	if (!out && went_around(skb))
		return guard_ends(TW_DROP_SPOOFED);
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
	struct tw_end src = {}, dst = {};
	struct bpf_sock *sk = skb->sk;

	if (glance_goes_on(skb, &src, &dst) || !sk)
		return TW_GO_ON;
	sk = bpf_sk_fullsock(sk);
	if (!sk || parse(skb, &pkt) || !addr_equal(pkt.src.addr, pkt.dst.addr))
		return TW_GO_ON;
	return self_check(sk, &pkt);
}

/* pod → [lo, egress] → pod */
int tw_guard_self(struct __sk_buff *skb)
{
	return guard_ends(guard_own(skb));
}

/* Addresses that no packet can come back to from elsewhere: 127.0.0.0/8, and ::/96 (RFC 4291), as sidecars use. */
static __always_inline bool guard_is_loopback(const __be32 *addr)
{
	if (addr[0] || addr[1])
		return 0;
	return !addr[2] ||
	       (addr[2] == be32(0x0000ffff) && (addr[3] & be32(0xff000000)) == be32(0x7f000000));
}

static __always_inline bool guard_same_pod(const struct tw_ep *a, const struct tw_ep *b)
{
	if (!ep_is_pod(a) || !ep_is_pod(b))
		return 0;
	return a->ifindex ? a->ifindex == b->ifindex : a->stamp && a->stamp == b->stamp;
}

/*
 * A program can play somebody else to its own pod there, and so begin a connection with him that no
 * device saw begin: TCP for a pod under a policy is from the pod itself.
 */
static __always_inline int guard_loopback(struct __sk_buff *skb)
{
	struct tw_pkt pkt = {};
	struct tw_end src = {}, dst = {};
	struct tw_ep *to;
	int rc;

	if (source_is_tagged(skb))
		return TW_DROP_SPOOFED;
	if (glance_goes_on(skb, &src, &dst))
		return TW_GO_ON;
	rc = parse(skb, &pkt);
	if (rc || pkt.proto != PROTO_TCP || guard_is_loopback(pkt.src.addr) ||
	    addr_equal(pkt.src.addr, pkt.dst.addr))
		return rc;
	to = ep_get(pkt.dst.addr);
	if (!ep_is_pod(to) || !to->policy || guard_same_pod(to, ep_get(pkt.src.addr)))
		return TW_GO_ON;
	return TW_DROP_SPOOFED;
}

/* pod → [lo, ingress] → pod */
int tw_guard_lo(struct __sk_buff *skb)
{
	return guard_ends(guard_loopback(skb));
}
