/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Beside policy at sockets, at the device of a pod under a policy: what begins there, and what no
 * socket answers for.
 *
 * Beginnings are judged (TCP SYN, SCTP INIT, echo requests), so that a denied port is silent even
 * where nobody listens; what goes on is left to its socket, if that is one that can only go on.
 * Datagrams are judged one by one (udp.h). Where beginnings cannot be told (other protocols, SCTP
 * under way, segments that a program made itself), what is denied both ways is dropped.
 *
 *     host side of a veth: tw_guard_to (egress), tw_guard_from (ingress); else the pod's own device
 *     the pod's loopback: tw_guard_self (egress)
 */
#include "glance.h"
#include "judge.h"
#include "sk_self.h"
#include "sk_stream.h"
#include "source.h"
#include "udp.h"

#define SCTP_INIT 1

static __always_inline bool guard_begins(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	__u8 type;

	if (pkt->proto == PROTO_TCP)
		return glance_begins(pkt->tcp);
	/* the first chunk follows the common header of 12 bytes (RFC 9260) */
	return !bpf_skb_load_bytes(skb, pkt->l4 + 12, &type, 1) && type == SCTP_INIT;
}

static __always_inline bool guard_echo_request(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	__u8 type;

	return !bpf_skb_load_bytes(skb, pkt->l4, &type, 1) && (type == 8 || type == 128);
}

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
	bool begins = guard_begins(skb, pkt);
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

static __always_inline int guard_connection(struct __sk_buff *skb, const struct tw_pkt *pkt,
					    const struct tw_view *view, bool out)
{
	if (pkt->proto == PROTO_TCP && out)
		return guard_leaves(skb, pkt, view);
	if (guard_begins(skb, pkt))
		return guard_way(view, pkt->proto, out);
	return pkt->proto == PROTO_TCP ? TW_GO_ON : guard_either(view, pkt->proto, out);
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

static __always_inline int guard_check(struct __sk_buff *skb, struct tw_pkt *pkt, bool out)
{
	struct tw_view view = {};
	int rc = parse(skb, pkt);

	if (out && source_is_tagged(skb))
		return TW_DROP_SPOOFED;
	if (rc)
		return rc;
	if (out) {
		rc = source_check(skb, pkt);
		if (rc)
			return rc;
	}
	view_set(&view, pkt, out);
	/* without its head, which is judged here, a datagram is never whole again */
	if (!view.turn.set || pkt->frag == TW_FRAG_LATER)
		return TW_PASS_STACK;
	if (pkt->proto == PROTO_TCP || pkt->proto == PROTO_SCTP)
		rc = guard_connection(skb, pkt, &view, out);
	else if (pkt->proto == PROTO_UDP)
		rc = udp_check(&view, out);
	else if (pkt->icmp == TW_ICMP_ERROR)
		rc = guard_error(skb, pkt, out);
	else if (pkt->icmp == TW_ICMP_ECHO)
		rc = guard_way(&view, pkt->proto, guard_echo_request(skb, pkt) ? out : !out);
	else
		rc = guard_either(&view, pkt->proto, out);
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
