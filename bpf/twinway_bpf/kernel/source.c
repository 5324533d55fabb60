/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Anti-spoofing beside policy at sockets, at the device of a pod under no policy. Nothing is judged there, but
 * the policy of other pods knows this pod by its address, so it may use no other.
 *
 *     host side of a veth (ingress), else the pod's own device (egress): tw_source_from
 *
 * With both drivers, at the device that pods share (macvlan, ipvlan), in the host's namespace: frames that
 * bypassed the programs at their pod's own device are dropped.
 *
 *     the parent (egress); at sockets, the device of a pod under no policy there (ingress): tw_parent_out
 */
#include "around.h"
#include "link.h"

/* The source address of a packet, if its header is linear and it has no VLAN tag. */
static __always_inline bool source_glance(struct __sk_buff *skb, struct tw_addr *src)
{
	if (source_is_tagged(skb))
		return 0;
	if (skb->protocol == be16(ETH_IP)) {
		const struct ip4_hdr *ip4 = packet_peek(skb, ETH_HLEN, sizeof(*ip4));

		if (!ip4)
			return 0;
		addr_map4(src->addr, ip4->saddr);
		return (ip4->version_ihl >> 4) == 4;
	}
	if (skb->protocol == be16(ETH_IPV6)) {
		const struct ip6_hdr *ip6 = packet_peek(skb, ETH_HLEN, sizeof(*ip6));

		if (!ip6)
			return 0;
		addr_copy(src->addr, ip6->saddr);
		/* neighbour discovery has this hop limit: link.h checks its content */
		return (be32(ip6->version_class_flow) >> 28) == 6 && ip6->hop_limit != 255;
	}
	return 0;
}

static __always_inline int source_look(struct __sk_buff *skb)
{
	struct tw_pkt pkt = {};
	int rc = link_from_pod(skb, &pkt, parse(skb, &pkt));

	return rc ? rc : source_check(skb, &pkt);
}

/* The one exit. Passing is not counted: it is nearly every packet. */
static __always_inline int source_ends(int reason)
{
	if (reason < TW_FIRST_DROPPED)
		return TC_ACT_UNSPEC;
	verdict_count(reason);
	return TC_ACT_SHOT;
}

/* pod → [its device] */
int tw_source_from(struct __sk_buff *skb)
{
	struct tw_addr src;

	if (source_glance(skb, &src) && source_is_still_own(skb, src.addr))
		return TC_ACT_UNSPEC;
	return source_ends(source_look(skb));
}

/* pods on a shared parent → [the parent] → network */
int tw_parent_out(struct __sk_buff *skb)
{
	return went_around(skb) ? source_ends(TW_DROP_SPOOFED) : TC_ACT_UNSPEC;
}
