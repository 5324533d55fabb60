/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Anti-spoofing: policy knows a pod by its address alone, so its packets must bear that address. */
#ifndef TW_SOURCE_H
#define TW_SOURCE_H

#include "around.h"
#include "parse.h"
#include "policy.h"

#define SOURCES 64

/*
 * The one thing a pod may say before it has an address: ask DHCP for one, as a client does, on its
 * link. RFC 2131: 0.0.0.0:68 to 255.255.255.255:67; RFC 8415: a link-local address, port 546, to
 * ff02::1:2, port 547.
 */
static __always_inline bool source_asks_dhcp(const struct tw_pkt *pkt)
{
	const __be32 *dst = pkt->dst.addr;

	if (pkt->proto != PROTO_UDP || pkt->frag)
		return 0;
	if (!pkt->v6)
		return !pkt->src.addr[3] && dst[3] == 0xffffffff && pkt->src.port == be16(68) &&
		       pkt->dst.port == be16(67);
	return addr_is_link_local(pkt->src.addr) && pkt->src.port == be16(546) &&
	       pkt->dst.port == be16(547) && dst[0] == be32(0xff020000) && !dst[1] && !dst[2] &&
	       dst[3] == be32(0x00010002);
}

/* A VLAN tag hides the packet from us, but not from a receiver that treats VLAN 0 as no tag. */
static __always_inline bool source_is_tagged(const struct __sk_buff *skb)
{
	return skb->vlan_present || skb->protocol == be16(ETH_8021Q) ||
	       skb->protocol == be16(ETH_8021AD);
}

/*
 * The stamp where a pod's own device is met, and 0 at a host side, where skb->cb has what TCP left there. A packet
 * from the pod has the mark of the program that writes the stamp (stamp.py). A packet to the pod (`out` is 0) has
 * come in by the pod's device, but not by a host side. verifier: without a branch.
 */
static __always_inline __u32 source_stamp(const struct __sk_buff *skb, bool out)
{
	__u32 differs = out ? skb->cb[3] ^ TW_STAMPED : skb->ingress_ifindex ^ skb->ifindex;

	asm volatile("" : "+r"(differs));
	differs = (differs | -differs) >> 31;
	return skb->cb[4] & (differs - 1);
}

/*
 * Is the address this pod's? Behind a veth the device tells, in the pod's namespace the stamp that
 * a program before this one wrote (stamp.py).
 */
static __always_inline bool source_is_own(struct __sk_buff *skb, const __be32 *addr)
{
	struct tw_ep *ep = ep_get(addr);
	__u32 ifindex = skb->ifindex, stamp = skb->cb[4];

	/* verifier: each is loaded from its place, none from one that depends */
	asm volatile("" : "+r"(ifindex), "+r"(stamp));
	return ep_is_pod(ep) && (ep->ifindex ? ep->ifindex == ifindex : ep->stamp == stamp);
}

/*
 * device -> the last address that was its pod's, and since which change of places: asked before tw_ep, which
 * takes longer. Written and read here. Missing, another's, or older than tw_cfg.places: tw_ep is asked.
 */
BPF_TABLE("percpu_array", __u32, struct tw_source, tw_source_v2, SOURCES);

/* As source_is_own(), for programs that ask it for every packet from a pod. */
static __always_inline bool source_is_still_own(struct __sk_buff *skb, const __be32 *addr)
{
	__u32 ifindex = skb->ifindex, stamp = source_stamp(skb, 1), at = ifindex & (SOURCES - 1);
	__u32 places;
	struct tw_source *known = tw_source_v2.lookup(&at);
	struct tw_cfg *cfg = cfg_get();

	if (!known || !cfg)
		return source_is_own(skb, addr);
	places = cfg->places + 1;
	if (known->places == places && known->ifindex == ifindex && known->stamp == stamp &&
	    addr_equal(known->addr, addr))
		return 1;
	/* asked twice, because it is remembered: a replaced element may be another pod's (policy_of()) */
	if (!source_is_own(skb, addr) || !source_is_own(skb, addr))
		return 0;
	known->places = 0;
	known->ifindex = ifindex;
	known->stamp = stamp;
	addr_copy(known->addr, addr);
	known->places = places;
	return 1;
}

static __always_inline int source_verdict(const struct tw_pkt *pkt, bool own)
{
	if (own)
		return TW_GO_ON;
	return source_asks_dhcp(pkt) ? TW_PASS_STACK : TW_DROP_SPOOFED;
}

static __always_inline int source_check(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	return source_verdict(pkt, source_is_own(skb, pkt->src.addr));
}

#endif
