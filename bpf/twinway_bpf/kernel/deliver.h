/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Delivers a packet that was allowed. At a pod's host side it goes straight into another pod, or out of the
 * device that the node's routes select, and bypasses the host's stack and netfilter. Inside a pod it goes its
 * way, with the next hop that its new destination needs.
 */
#ifndef TW_DELIVER_H
#define TW_DELIVER_H

#include "packet.h"
#include "parse.h"
#include "policy.h"
#include "tw_features.h"

/*
 * As kernels have it since 5.10; BCC 0.26 declares the three arguments of a release candidate.
 * Source: ba452c9e996d ("bpf: Fix bpf_redirect_neigh helper api to support supplying nexthop").
 */
static long (*redirect_neigh)(__u32 ifindex, void *params, int plen,
			      __u64 flags) = (void *)BPF_FUNC_redirect_neigh;

/* The mark of packets that a program redirects to its own device after it decided on them. */
#define TW_MARK_REDIRECTED 0x74770000

/* Must the node's stack handle it? It answers expired TTLs, and owns multicast. */
static __always_inline bool deliver_needs_stack(const struct tw_pkt *pkt)
{
	__u8 first = pkt->v6 ? (__u8)pkt->dst.addr[0] : (__u8)pkt->dst.addr[3];

	return pkt->ttl <= 1 || (pkt->v6 ? first == 0xff || first == 0xfe : first >= 224);
}

/* Decrement the TTL, and address the neighbour's MAC `to`; NULL: not known yet. */
static __always_inline int deliver_hop(struct __sk_buff *skb, const struct tw_pkt *pkt,
				       const void *to, const void *from)
{
	struct eth_hdr *eth = packet_at(skb, 0, sizeof(*eth) + sizeof(struct ip4_hdr));
	struct ip6_hdr *ip6 = (struct ip6_hdr *)(eth + 1);
	struct ip4_hdr *ip4 = (struct ip4_hdr *)(eth + 1);
	__u32 check;

	if (!eth)
		return TW_DROP_REWRITE;
	if (pkt->v6) {
		ip6->hop_limit--;
	} else {
		/* RFC 1624: the first byte of one of the words becomes one less */
		check = ip4->check + be16(0x0100);
		ip4->check = check + (check >= 0xffff);
		ip4->ttl--;
	}
	if (to) {
		mac_copy(eth->dst, to);
		mac_copy(eth->src, from);
	}
	return TW_GO_ON;
}

/* Straight into the pod: its own ingress hook, if any, sees the packet, the host's stack does not. */
static __always_inline int deliver_peer(struct __sk_buff *skb, struct tw_pkt *pkt,
					const struct tw_ep *ep)
{
	int rc = deliver_hop(skb, pkt, ep->mac, ep->host_mac);

	if (rc)
		return rc;
	if (features() & TW_HAS_REDIRECT_PEER) {
		pkt->action = bpf_redirect_peer(ep->ifindex, 0);
		return TW_PASS_PEER;
	}
	pkt->action = bpf_redirect(ep->ifindex, 0);
	return TW_PASS_OUT;
}

static __always_inline long deliver_route(struct __sk_buff *skb, const struct tw_pkt *pkt,
					  struct bpf_fib_lookup *fib, __u32 flags)
{
	fib->ifindex = skb->ifindex;
	fib->l4_protocol = pkt->proto;
	fib->sport = pkt->src.port;
	fib->dport = pkt->dst.port;
	/* segments of a GSO packet fit; if a single packet does not, the stack reports that */
	fib->tot_len = skb->gso_segs > 1 ? 0 : pkt->len;
	if (pkt->v6) {
		fib->family = FAMILY_INET6;
		addr_copy(fib->ipv6_src, pkt->src.addr);
		addr_copy(fib->ipv6_dst, pkt->dst.addr);
	} else {
		fib->family = FAMILY_INET;
		fib->ipv4_src = pkt->src.addr[3];
		fib->ipv4_dst = pkt->dst.addr[3];
	}
	return bpf_fib_lookup(skb, fib, sizeof(*fib), flags);
}

/* Send it out by the node's routes and rules. What they do not simply forward goes to the stack. */
static __always_inline int deliver_out(struct __sk_buff *skb, struct tw_pkt *pkt)
{
	struct bpf_fib_lookup fib = {};
	long found = deliver_route(skb, pkt, &fib, 0);
	int rc;

	if (found != BPF_FIB_LKUP_RET_SUCCESS && found != BPF_FIB_LKUP_RET_NO_NEIGH)
		return TW_PASS_STACK;
	if (found == BPF_FIB_LKUP_RET_NO_NEIGH) {
		rc = deliver_hop(skb, pkt, 0, 0);
		pkt->action = redirect_neigh(fib.ifindex, 0, 0, 0);
	} else {
		rc = deliver_hop(skb, pkt, fib.dmac, fib.smac);
		pkt->action = bpf_redirect(fib.ifindex, 0);
	}
	if (rc)
		return rc;
	return TW_PASS_OUT;
}

/* From a pod, seen at its host side. */
static __always_inline int deliver_from_host_side(struct __sk_buff *skb, struct tw_pkt *pkt)
{
	struct tw_ep *ep;

	if (deliver_needs_stack(pkt))
		return TW_PASS_STACK;
	ep = ep_get(pkt->dst.addr);
	if (!ep)
		return deliver_out(skb, pkt);
	if (ep->kind == TW_EP_POD && ep->ifindex)
		return deliver_peer(skb, pkt, ep);
	return TW_PASS_STACK;
}

/* A packet from the network for a pod of this node: deliver it, unless the stack must handle it. */
static __always_inline int deliver_inwards(struct __sk_buff *skb, struct tw_pkt *pkt)
{
	struct tw_ep *ep = ep_get(pkt->dst.addr);

	if (!ep || !ep->ifindex || deliver_needs_stack(pkt))
		return TW_PASS_STACK;
	return deliver_peer(skb, pkt, ep);
}

/* Send the packet back to the pod that sent it, as if it had come in. */
static __always_inline int deliver_back(struct __sk_buff *skb, struct tw_pkt *pkt, bool in_pod)
{
	if (in_pod) {
		skb->mark = TW_MARK_REDIRECTED;
		pkt->action = bpf_redirect(skb->ifindex, BPF_F_INGRESS);
	} else if (features() & TW_HAS_REDIRECT_PEER) {
		pkt->action = bpf_redirect_peer(skb->ifindex, 0);
	} else {
		pkt->action = bpf_redirect(skb->ifindex, 0);
	}
	return TW_PASS_REDIRECTED;
}

/* Inside the pod, a connection to itself: redirect it into the device that it would leave by. */
static __always_inline int deliver_to_self(struct __sk_buff *skb, struct tw_pkt *pkt)
{
	__u8 own[6];

	if (bpf_skb_load_bytes(skb, 6, own, sizeof(own)) ||
	    bpf_skb_store_bytes(skb, 0, own, sizeof(own), 0))
		return TW_DROP_REWRITE;
	return deliver_back(skb, pkt, 1);
}

/*
 * Inside the pod, the MAC of a destination on the same parent, which is another pod or the node, so that the
 * packet does not leave the parent; NULL: it is elsewhere. The routes cannot tell, because a namespace that
 * does not forward gets no answer from bpf_fib_lookup().
 */
static __always_inline const __u8 *deliver_beside(const struct tw_pkt *pkt)
{
	struct tw_ep *own = ep_get(pkt->src.addr), *to;

	if (!own || !mac_known(own->host_mac))
		return 0;
	to = ep_get(pkt->dst.addr);
	if (!to)
		return 0;
	if (to->kind == TW_EP_NODE)
		return own->host_mac;
	return mac_equal(to->host_mac, own->host_mac) ? to->mac : 0;
}

/*
 * Inside the pod, after translation: the stack chose the next hop for the Service's address. A backend that is
 * not on the same parent gets the next hop of its route; the kernel resolves a neighbour that is not known.
 */
static __always_inline int deliver_next_hop(struct __sk_buff *skb, struct tw_pkt *pkt)
{
	const __u8 *beside = deliver_beside(pkt);
	struct bpf_fib_lookup fib = {};
	long found;

	if (beside)
		return bpf_skb_store_bytes(skb, 0, beside, 6, 0) ? TW_DROP_REWRITE : TW_PASS_STACK;
	found = deliver_route(skb, pkt, &fib, BPF_FIB_LOOKUP_OUTPUT);
	if (found == BPF_FIB_LKUP_RET_SUCCESS && fib.ifindex == skb->ifindex) {
		if (bpf_skb_store_bytes(skb, 0, fib.dmac, 6, 0))
			return TW_DROP_REWRITE;
		return TW_PASS_STACK;
	}
	if (found == BPF_FIB_LKUP_RET_NO_NEIGH && fib.ifindex == skb->ifindex) {
		/* it meets this hook once more, already translated */
		skb->mark = TW_MARK_REDIRECTED;
		pkt->action = redirect_neigh(skb->ifindex, 0, 0, 0);
		return TW_PASS_OUT;
	}
	return TW_PASS_STACK;
}

#endif
