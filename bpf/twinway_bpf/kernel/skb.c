/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policy at sockets. Segments of a connection pass by the verdict that is stored on its socket (sk_tcp.h), if
 * that is of the policy in force. These programs are attached while a verdict may be missing or old. When
 * every open connection is known to be allowed, they are detached: policy is idle (ADR 0013).
 *
 * The guard (guard.c) judges new connections, datagrams, and packets without a socket (ICMP, closed ports).
 * TIME_WAIT has no socket here, and sends nothing but its last ACK.
 */
#include "sk_self.h"
#include "sk_tcp.h"

/*
 * Most packets belong to a connection that was judged and allowed. A listener only sends answers to SYNs
 * that were allowed. (It may have been connected to another peer before.)
 */
static __always_inline bool tcp_was_allowed(struct bpf_sock *sk, __u32 rev, bool out)
{
	struct tw_skpol *known;

	if (sk->state == STATE_LISTEN)
		return out;
	known = tw_skpol_v3.sk_storage_get(sk, 0, 0);
	return known && known->verdict == verdict_word(rev, TW_ALLOW);
}

/* No policy selects its pod under this revision. */
static __always_inline void tcp_let_go(struct bpf_sock *sk, __u32 rev)
{
	struct tw_skpol *known = tw_skpol_v3.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (known)
		known->verdict = verdict_word(rev, TW_ALLOW);
}

/* Did the socket connect? Else it was accepted. `given`: its tw_sk, or NULL. */
static __always_inline bool tcp_is_initiator(struct __sk_buff *skb, struct bpf_sock *sk,
					     struct tw_sk **given)
{
	__u64 cookie;

	*given = tw_sk_v2.sk_storage_get(sk, 0, 0);
	if (*given)
		return 1;
	cookie = bpf_get_socket_cookie(skb);
	return tw_initiator_v1.lookup(&cookie);
}

static __always_inline int tcp_check(struct __sk_buff *skb, const struct tw_pkt *pkt,
				     struct bpf_sock *sk, const struct tw_view *view, __u32 rev)
{
	struct tw_skpol *known = 0;
	struct tw_sk *given = 0;
	bool initiator = 0;
	__u8 action;
	__u64 rule = 0;

	if (sk->state == STATE_LISTEN) {
		/* the SYN of this connection was judged, and its socket will be */
		if (!(pkt->tcp & TCP_SYN))
			return TW_GO_ON;
	} else {
		known = tw_skpol_v3.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!known)
			return TW_DROP_NO_ENTRY;
		initiator = tcp_is_initiator(skb, sk, &given);
		if ((__u32)known->verdict == rev)
			return judged(view, known->verdict >> 32, known->rule, initiator);
	}
	action = judge(view, PROTO_TCP, initiator, &rule);
	if (known) {
		known->rule = rule;
		known->verdict = verdict_word(rev, action);
	}
	if (given && action != TW_ALLOW)
		given->begun = 0;
	return judged(view, action, rule, initiator);
}

static __always_inline int parse_at_socket(struct __sk_buff *skb, struct tw_pkt *pkt)
{
	int rc;

	/* at these hooks the packet begins with its IP header */
	pkt->end = skb->len;
	if (skb->protocol == be16(ETH_IP))
		rc = parse_ip4(skb, 0, pkt, 0);
	else if (skb->protocol == be16(ETH_IPV6))
		rc = parse_ip6(skb, 0, pkt, 0);
	else
		return TW_PASS_NOT_IP;
	return rc ? rc : parse_transport(skb, pkt);
}

static __always_inline int skb_check(struct __sk_buff *skb, struct bpf_sock *sk, __u32 rev,
				     bool out)
{
	struct tw_view view = {};
	struct tw_pkt pkt = {};
	int rc = parse_at_socket(skb, &pkt);

	if (rc)
		return rc;
	view_set(&view, &pkt, out);
	if (!view.policy.set) {
		if (tcp_is_stream(sk) && sk->state != STATE_LISTEN)
			tcp_let_go(sk, rev);
		return TW_GO_ON;
	}
	/* a pod whose device has no guard: nothing judges its new connections */
	if (view.policy.set == TW_DENY_ALL)
		return out ? TW_DROP_POLICY_EGRESS : TW_DROP_POLICY_INGRESS;
	if (addr_equal(pkt.src.addr, pkt.dst.addr))
		return out ? self_check(sk, &pkt) : TW_GO_ON;
	if (pkt.proto == PROTO_TCP && tcp_is_stream(sk))
		return tcp_check(skb, &pkt, sk, &view, rev);
	return TW_GO_ON;
}

/*
 * A sending process must not learn of a denial. 0 would give it EPERM; 2 is a drop on the way, which UDP does
 * not report and TCP retransmits. Source: __cgroup_bpf_run_filter_skb.
 */
#define SKB_DROP_IN 0
#define SKB_DROP_OUT 2

/* The one exit; 1: pass. Passed packets are not counted, because these are all packets of all sockets. */
static __always_inline int skb_finish(struct __sk_buff *skb, bool out)
{
	struct bpf_sock *sk = skb->sk;
	struct tw_cfg *cfg = cfg_get();
	__u32 rev; /* read before the policy that it stands for, which was written before it */
	int reason;

	sk = sk ? bpf_sk_fullsock(sk) : 0;
	if (!sk || !cfg)
		return 1;
	rev = cfg->rev + 1;
	if (tcp_was_allowed(sk, rev, out))
		return 1;
	reason = skb_check(skb, sk, rev, out);
	if (reason < TW_FIRST_DROPPED)
		return 1;
	verdict_count(reason);
	return out ? SKB_DROP_OUT : SKB_DROP_IN;
}

/* socket → [its cgroup, egress] → network */
int tw_skb_out(struct __sk_buff *skb)
{
	return skb_finish(skb, 1);
}

/* network → [its cgroup, ingress] → socket */
int tw_skb_in(struct __sk_buff *skb)
{
	return skb_finish(skb, 0);
}
