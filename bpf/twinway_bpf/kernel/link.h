/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ARP and neighbour discovery from a pod pass without a policy check, because no address works without
 * them. They must bear the pod's own address, stay on the link, and have no room for other data.
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

/* Is `to` on the link of the pod with the address `own`? Subnets have 64 bits (RFC 4291). */
static __always_inline bool link_reaches(const __be32 *own, const __be32 *to)
{
	return addr_is_link_local(to) || addr_is_link_group(to) ||
	       (own[0] == to[0] && own[1] == to[1]) || ep_get(to);
}

/* May this pod claim the address? Link-local addresses are in no table, and any pod may. */
static __always_inline bool link_is_own(struct __sk_buff *skb, const __be32 *addr)
{
	return addr_is_link_local(addr) || source_is_own(skb, addr);
}

/*
 * The target of an advertisement must be the pod's own address, because neighbours believe it. So must the
 * target of a solicitation from ::, which probes for a duplicate. A solicitation to one neighbour must ask
 * for that neighbour.
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

/* Does the message have the form that a stack sends, with no more options than it needs? */
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
 * Neighbour discovery from a pod. A message that has another form, or leaves the link, is judged like any
 * other packet, because a router forwards it regardless of its hop limit. That does not hold for a
 * link-local or unspecified source, which no router forwards.
 */
static __always_inline int link_neighbour(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	const __be32 *src = pkt->src.addr;
	int rc = link_message(skb, pkt);

	if (rc == TW_GO_ON || addr_is_unspecified(src) || addr_is_link_local(src))
		return rc;
	if (!source_is_own(skb, src))
		return TW_DROP_SPOOFED;
	/* off the link no receiver accepts it, because a router has lowered its hop limit */
	return link_reaches(src, pkt->dst.addr) ? rc : TW_GO_ON;
}

/* ARP from a pod: its sender is the pod's own address, or 0.0.0.0 in a probe (RFC 5227). */
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
 * Check a frame from a pod after parse(). In the pod's namespace a packet socket chooses skb->protocol,
 * so it must equal the protocol in the frame.
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
