/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policy at sockets: packets of a socket are let through on the word that is kept on the socket,
 * of a connection (sk_tcp.h) or of a peer (sk_peer.h). TIME_WAIT has no socket to ask, and nothing
 * to say but its last ACK.
 *
 * What has no socket here (ICMP, closed ports) is guard.c's. At these hooks datagrams are whole:
 * egress runs before fragmentation, ingress after reassembly.
 */
#include "sk_peer.h"
#include "sk_tcp.h"

/* Did the socket ask for a Service, and was given its own pod? */
static __always_inline bool asked_service(struct bpf_sock *sk, const struct tw_end *to)
{
	struct tw_sk *given = tw_sk_v1.sk_storage_get(sk, 0, 0);
	struct tw_peers *peers;

	if (given && given->backend && end_equal(&given->to, to))
		return 1;
	peers = tw_skpeer_v1.sk_storage_get(sk, 0, 0);
	if (!peers)
		return 0;
#pragma unroll
	for (int i = 0; i < TW_PEERS; i++) {
		if (peers->peer[i].backend && end_equal(&peers->peer[i].to, to))
			return 1;
	}
	return 0;
}

/*
 * A pod that speaks to itself may, unless it asked for a Service: then it is judged like anybody,
 * here where its packet leaves, for afterwards it is nothing but traffic on lo.
 * Source: network-policy-api #390.
 */
static __always_inline int self_check(struct bpf_sock *sk, const struct tw_pkt *pkt, bool out)
{
	struct tw_ends ends = {};

	if (!out || !asked_service(sk, &pkt->dst))
		return TW_GO_ON;
	addr_copy(ends.from, pkt->src.addr);
	addr_copy(ends.to, pkt->dst.addr);
	ends.port = pkt->dst.port;
	ends.proto = pkt->proto;
	return policy_judge(&ends);
}

static __always_inline int parse_at_socket(struct __sk_buff *skb, struct tw_pkt *pkt)
{
	int rc;

	/* at these hooks the packet begins with its IP header */
	if (skb->protocol == be16(ETH_IP))
		rc = parse_ip4(skb, 0, pkt);
	else if (skb->protocol == be16(ETH_IPV6))
		rc = parse_ip6(skb, 0, pkt);
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
	if (!view.turn.set) {
		if (tcp_is_stream(sk) && sk->state != STATE_LISTEN)
			tcp_let_go(sk, rev, out);
		return TW_GO_ON;
	}
	if (addr_equal(pkt.src.addr, pkt.dst.addr))
		return self_check(sk, &pkt, out);
	if (pkt.proto == PROTO_TCP && tcp_is_stream(sk))
		return tcp_check(skb, &pkt, sk, &view, rev, out);
	if (pkt.proto == PROTO_TCP || pkt.proto == PROTO_UDP)
		return both_check(skb, sk, &view, pkt.proto, rev, out);
	return TW_GO_ON;
}

/*
 * A program that sends is not to learn of a denial: 0 would tell it EPERM, 2 is a drop on the way,
 * which UDP does not report and TCP sends again. Source: __cgroup_bpf_run_filter_skb.
 */
#define SKB_DROP_IN 0
#define SKB_DROP_OUT 2

/* 1: pass. Passing is not counted: it is every packet of every socket. */
static __always_inline int skb_finish(struct __sk_buff *skb, bool out)
{
	struct bpf_sock *sk = skb->sk;
	struct tw_cfg *cfg = cfg_get();
	__u32 rev; /* read before what it stands for, which was written before it */
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
