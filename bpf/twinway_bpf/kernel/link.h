/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a pod says on its link without being judged, because no address works without it: ARP and
 * neighbour discovery, under its own name, to the link alone, and with no room for anything else.
 */
#ifndef TW_LINK_H
#define TW_LINK_H

#include "source.h"

#define ND_LISTENER_REPORT 131
#define ND_LISTENER_DONE 132
#define ND_ROUTER_SOLICITATION 133
#define ND_SOLICITATION 135
#define ND_ADVERTISEMENT 136
#define ND_LISTENER_REPORT_V2 143

#define ND_OPTION 8 /* bytes of an option that holds a MAC, or a nonce (RFC 7527) */

#define ARP_ETHERNET 1
#define ARP_LONGEST 60 /* Ethernet's shortest frame: ARP is padded to it */

/* Does `to` lie on the link of a pod that is called `own`? Subnets have 64 bits (RFC 4291). */
static __always_inline bool link_reaches(const __be32 *own, const __be32 *to)
{
	return addr_is_link_local(to) || addr_is_link_group(to) ||
	       (own[0] == to[0] && own[1] == to[1]) || ep_get(to);
}

/* Is the address one that this pod may claim? Link-local ones are in no table. */
static __always_inline bool link_is_own(struct __sk_buff *skb, const __be32 *addr)
{
	return addr_is_link_local(addr) || source_is_own(skb, addr);
}

/*
 * An advertisement speaks of an address of the pod's own: a neighbour would believe another one. Who
 * asks from :: whether an address is free does so, too; who asks one neighbour asks for that one.
 */
static __always_inline int link_target(struct __sk_buff *skb, const struct tw_pkt *pkt, __u8 type)
{
	struct nd_hdr nd;

	if (!parse_holds(pkt, pkt->l4, sizeof(nd)) || packet_get(skb, pkt->l4, &nd))
		return TW_DROP_SHORT;
	if (type == ND_ADVERTISEMENT || addr_is_unspecified(pkt->src.addr))
		return link_is_own(skb, nd.target) ? TW_PASS_NEIGHBOUR : TW_DROP_SPOOFED;
	if (addr_is_link_group(pkt->dst.addr) || addr_equal(pkt->dst.addr, nd.target))
		return TW_PASS_NEIGHBOUR;
	return TW_GO_ON;
}

/* Has it the form of what a stack says, with no more options than that needs? */
static __always_inline int link_message(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	__u32 len = pkt->end - pkt->l4, most;
	__u8 type;
	int rc;

	if (packet_get(skb, pkt->l4, &type))
		return TW_DROP_SHORT;
	switch (type) {
	case ND_SOLICITATION:
	case ND_ADVERTISEMENT:
		rc = link_target(skb, pkt, type);
		if (rc != TW_PASS_NEIGHBOUR)
			return rc;
		most = sizeof(struct nd_hdr) + (type == ND_SOLICITATION ? 2 : 1) * ND_OPTION;
		return len <= most ? TW_PASS_NEIGHBOUR : TW_GO_ON;
	case ND_ROUTER_SOLICITATION:
		return len <= sizeof(struct icmp_hdr) + ND_OPTION ? TW_PASS_NEIGHBOUR : TW_GO_ON;
	case ND_LISTENER_REPORT:
	case ND_LISTENER_DONE:
	case ND_LISTENER_REPORT_V2:
		return addr_is_link_group(pkt->dst.addr) ? TW_PASS_NEIGHBOUR : TW_GO_ON;
	default: /* pods are neither routers nor queriers */
		return TW_GO_ON;
	}
}

/*
 * Neighbour discovery from a pod. What has another form, or leads off the link, is judged like any
 * other message, for a router forwards it whatever its hop limit was; but not what has a link-local
 * source or none.
 */
static __always_inline int link_neighbour(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	const __be32 *src = pkt->src.addr;
	int rc = link_message(skb, pkt);

	if (rc == TW_GO_ON || addr_is_unspecified(src) || addr_is_link_local(src))
		return rc;
	if (!source_is_own(skb, src))
		return TW_DROP_SPOOFED;
	/* off the link nobody believes it: a router has lowered its hop limit */
	return link_reaches(src, pkt->dst.addr) ? rc : TW_GO_ON;
}

/* ARP from a pod: from its own address, or a probe, from none (RFC 5227). */
static __always_inline int link_arp(struct __sk_buff *skb)
{
	struct tw_addr sender = {};
	struct arp_hdr arp;
	__be32 addr;

	if (skb->len > ARP_LONGEST || packet_get(skb, ETH_HLEN, &arp))
		return TW_DROP_SHORT;
	if (arp.hardware != be16(ARP_ETHERNET) || arp.protocol != be16(ETH_IP) ||
	    arp.hardware_len != 6 || arp.protocol_len != 4)
		return TW_DROP_SHORT;
	__builtin_memcpy(&addr, arp.sender, sizeof(addr));
	if (!addr)
		return TW_PASS_NOT_IP;
	addr_map4(sender.addr, addr);
	return source_is_own(skb, sender.addr) ? TW_PASS_NOT_IP : TW_DROP_SPOOFED;
}

/*
 * What became of a pod's frame in parse(), and of what it says on its link. In the pod's namespace
 * a packet socket says what skb->protocol is: it has to be what the frame says, too.
 */
static __always_inline int link_from_pod(struct __sk_buff *skb, const struct tw_pkt *pkt,
					 int parsed)
{
	__be16 proto;

	if (source_is_tagged(skb) ||
	    packet_get(skb, __builtin_offsetof(struct eth_hdr, proto), &proto) ||
	    proto != skb->protocol)
		return TW_DROP_SPOOFED;
	if (parsed == TW_PASS_NEIGHBOUR)
		return link_neighbour(skb, pkt);
	if (parsed == TW_PASS_NOT_IP && skb->protocol == be16(ETH_ARP))
		return link_arp(skb);
	return parsed;
}

#endif
