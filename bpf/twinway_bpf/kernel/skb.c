/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Policy at sockets: packets of a socket are let through on the word that is kept on the socket.
 *
 *     TCP   a socket is one connection and one side of it: one verdict, until policy changes.
 *           A listener speaks for those not yet accepted (request sockets): judged by packet.
 *           TIME_WAIT has no socket to ask, and nothing to say but its last ACK.
 *     UDP   every peer counts for itself; a connected socket's verdicts are kept. Where only one
 *           direction is open, who spoke first is remembered, and nothing else.
 *
 * What has no socket here (ICMP, closed ports, raw) is guard.c's. At these hooks datagrams are
 * whole: egress runs before fragmentation, ingress after reassembly.
 */
#include "conntrack.h"
#include "judge.h"
#include "sk_maps.h"

#define STATE_LISTEN 10 /* BPF_TCP_LISTEN */
#define TYPE_STREAM 1	/* SOCK_STREAM */
#define SOCKOPS_CONNECT 3
#define SOCKOPS_ACCEPTED 5

/*
 * (socket, peer) -> who spoke first. Written and read here. Missing: nobody.
 * Full: the least recently used goes, and its next answer is denied, as if it came too late.
 */
BPF_TABLE("lru_hash", struct tw_udp_key, struct tw_udp, tw_udp_v1, 16384);

/* Is somebody listening where this connection's local end is? Then it was accepted. */
static __always_inline bool tcp_is_listened(struct __sk_buff *skb, const struct tw_pkt *pkt,
					    const struct tw_end *local)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;
	bool listens;

	if (pkt->v6) {
		addr_copy(tuple.ipv6.daddr, local->addr);
		tuple.ipv6.dport = local->port;
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple.ipv4.daddr = local->addr[3];
		tuple.ipv4.dport = local->port;
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return 0;
	listens = sk->state == STATE_LISTEN;
	bpf_sk_release(sk);
	return listens;
}

/* One judgement in one word; of a TCP socket it has one direction, the one that counts. */
static __always_inline __u64 said_of(__u32 rev, __u8 egress, __u8 ingress)
{
	return rev | (__u64)egress << 32 | (__u64)ingress << 40;
}

static __always_inline __u8 said_way(__u64 said, bool egress)
{
	return egress ? said >> 32 : said >> 40;
}

static __always_inline int verdict_of(__u8 action, __u64 rule, bool egress)
{
	if (action == TW_ALLOW)
		return TW_GO_ON;
	verdict_denied(rule);
	return egress ? TW_DROP_POLICY_EGRESS : TW_DROP_POLICY_INGRESS;
}

/* One connection's socket or its listener's, and not one that many share: raw, or the kernel's own. */
static __always_inline bool tcp_is_stream(const struct bpf_sock *sk)
{
	return sk->type == TYPE_STREAM && sk->protocol == PROTO_TCP;
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
	known = tw_skpol_v2.sk_storage_get(sk, 0, 0);
	return known && known->said == said_of(rev, TW_ALLOW, 0);
}

/* No policy concerns it, under this revision. */
static __always_inline void tcp_let_go(struct bpf_sock *sk, __u32 rev)
{
	struct tw_skpol *known = tw_skpol_v2.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (known)
		known->said = said_of(rev, TW_ALLOW, 0);
}

static __always_inline int tcp_check(struct __sk_buff *skb, const struct tw_pkt *pkt,
				     struct bpf_sock *sk, const struct tw_view *view, __u32 rev)
{
	struct tw_skpol *known = 0;
	__u8 side = TW_PASSIVE, action;
	__u64 rule = 0;

	if (sk->state == STATE_LISTEN) {
		/* what goes on is of a beginning that was heard, and judged by what it becomes */
		if (!(pkt->tcp & TCP_SYN))
			return TW_GO_ON;
	} else {
		known = tw_skpol_v2.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!known)
			return TW_DROP_NO_ENTRY;
		if (!known->side)
			known->side =
				tcp_is_listened(skb, pkt, view->local) ? TW_PASSIVE : TW_ACTIVE;
		side = known->side;
		if ((__u32)known->said == rev)
			return verdict_of(said_way(known->said, 1), known->rule, side == TW_ACTIVE);
	}
	action = judge(view, PROTO_TCP, side == TW_ACTIVE, &rule);
	if (known) {
		known->rule = rule;
		known->said = said_of(rev, action, 0);
	}
	return verdict_of(action, rule, side == TW_ACTIVE);
}

/*
 * Both directions of a peer. Of a connected UDP socket they are kept, and replaced as a whole:
 * what is kept is never changed, for another processor may be reading it.
 */
static __always_inline __u64 both_judge(struct bpf_sock *sk, const struct tw_view *view, __u8 proto,
					__u32 rev)
{
	bool kept = proto == PROTO_UDP && sk->dst_port;
	struct tw_skpol *known, fresh = {};
	__u64 rule;
	__u8 egress;

	known = kept ? tw_skpol_v2.sk_storage_get(sk, 0, 0) : 0;
	if (known && (__u32)known->said == rev && end_equal(&known->peer, view->remote))
		return known->said;
	egress = judge(view, proto, 1, &rule);
	fresh.said = said_of(rev, egress, judge(view, proto, 0, &rule));
	if (kept) {
		end_copy(&fresh.peer, view->remote);
		tw_skpol_v2.sk_storage_delete(sk);
		tw_skpol_v2.sk_storage_get(sk, &fresh, BPF_SK_STORAGE_GET_F_CREATE);
	}
	return fresh.said;
}

static __always_inline void udp_key(struct tw_udp_key *key, struct __sk_buff *skb,
				    const struct tw_end *peer)
{
	key->socket = bpf_get_socket_cookie(skb);
	end_copy(&key->peer, peer);
}

static __always_inline void udp_remember(struct __sk_buff *skb, const struct tw_end *peer,
					 __u8 flag)
{
	struct tw_udp_key key = {};
	struct tw_udp *found, fresh = {};

	udp_key(&key, skb, peer);
	found = tw_udp_v1.lookup(&key);
	if (found && (found->flags & flag)) {
		found->seen = ct_now();
		return;
	}
	fresh.seen = ct_now();
	fresh.flags = flag;
	tw_udp_v1.update(&key, &fresh);
}

static __always_inline bool udp_answers(struct __sk_buff *skb, const struct tw_end *peer, __u8 flag)
{
	struct tw_udp_key key = {};
	struct tw_udp *found;

	udp_key(&key, skb, peer);
	found = tw_udp_v1.lookup(&key);
	return found && (found->flags & flag) && ct_now() - found->seen <= CT_IDLE_UDP;
}

/*
 * UDP, and TCP that is of no connection (a raw socket's): either end may be the one that asked. Of
 * UDP that is remembered; TCP that begins something meets the guard.
 */
static __always_inline int both_check(struct __sk_buff *skb, struct bpf_sock *sk,
				      const struct tw_view *view, __u8 proto, __u32 rev, bool out)
{
	__u64 said = both_judge(sk, view, proto, rev);
	__u8 mine = said_way(said, out), other = said_way(said, !out);
	bool udp = proto == PROTO_UDP;
	__u64 rule = 0;

	if (mine == TW_ALLOW) {
		if (other != TW_ALLOW && udp)
			udp_remember(skb, view->remote, out ? TW_UDP_SENT : TW_UDP_RECEIVED);
		return TW_GO_ON;
	}
	if (other == TW_ALLOW &&
	    (!udp || udp_answers(skb, view->remote, out ? TW_UDP_RECEIVED : TW_UDP_SENT)))
		return TW_GO_ON;
	/* one rule a direction is not worth keeping: who is denied may wait for it */
	judge(view, proto, out, &rule);
	return verdict_of(mine, rule, out);
}

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
	if (!view.ep) {
		if (tcp_is_stream(sk) && sk->state != STATE_LISTEN)
			tcp_let_go(sk, rev);
		return TW_GO_ON;
	}
	if (addr_equal(pkt.src.addr, pkt.dst.addr))
		return self_check(sk, &pkt, out);
	if (pkt.proto == PROTO_TCP && tcp_is_stream(sk))
		return tcp_check(skb, &pkt, sk, &view, rev);
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

/* Which side a TCP socket is, told when it becomes one: nobody can tell later for certain. */
int tw_sockops(struct bpf_sock_ops *ops)
{
	__u32 op = ops->op;
	struct tw_skpol *known;
	struct bpf_sock *sk;

	if (op != SOCKOPS_CONNECT && op != SOCKOPS_ACCEPTED)
		return 1;
	sk = ops->sk;
	if (!sk)
		return 1;
	known = tw_skpol_v2.sk_storage_get(sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!known)
		return 1;
	/* a socket may connect again: what was said of its last connection is over */
	known->said = 0;
	known->side = op == SOCKOPS_CONNECT ? TW_ACTIVE : TW_PASSIVE;
	return 1;
}
