/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A quick look at a packet, for programs that let most packets pass: is it a TCP segment other than a SYN, with
 * linear headers and no options or extensions before its ports?
 */
#ifndef TW_GLANCE_H
#define TW_GLANCE_H

#include "packet.h"

struct glance4 {
	struct ip4_hdr ip;
	struct tcp_hdr tcp;
};

struct glance6 {
	struct ip6_hdr ip;
	struct tcp_hdr tcp;
};

static __always_inline bool glance_begins(__u8 flags)
{
	return (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static __always_inline bool glance4_goes_on(struct __sk_buff *skb, struct tw_end *src,
					    struct tw_end *dst)
{
	const struct glance4 *head = packet_peek(skb, ETH_HLEN, sizeof(*head));

	if (!head)
		return 0;
	if (head->ip.version_ihl != 0x45 || head->ip.protocol != PROTO_TCP)
		return 0;
	if (head->ip.frag_off & be16(IP4_MORE_FRAGMENTS | IP4_OFFSET))
		return 0;
	/* flags beyond the end of the packet do not count */
	if (be16(head->ip.tot_len) < sizeof(*head))
		return 0;
	addr_map4(src->addr, head->ip.saddr);
	addr_map4(dst->addr, head->ip.daddr);
	src->port = head->tcp.ports.src;
	dst->port = head->tcp.ports.dst;
	return !glance_begins(head->tcp.flags);
}

static __always_inline bool glance6_goes_on(struct __sk_buff *skb, struct tw_end *src,
					    struct tw_end *dst)
{
	const struct glance6 *head = packet_peek(skb, ETH_HLEN, sizeof(*head));

	if (!head)
		return 0;
	if ((be32(head->ip.version_class_flow) >> 28) != 6 || head->ip.nexthdr != PROTO_TCP)
		return 0;
	if (be16(head->ip.payload_len) < sizeof(head->tcp))
		return 0;
	addr_copy(src->addr, head->ip.saddr);
	addr_copy(dst->addr, head->ip.daddr);
	src->port = head->tcp.ports.src;
	dst->port = head->tcp.ports.dst;
	return !glance_begins(head->tcp.flags);
}

/* Is it such a segment? Also its ends. 0: a closer look is needed. */
static __always_inline bool glance_goes_on(struct __sk_buff *skb, struct tw_end *src,
					   struct tw_end *dst)
{
	if (skb->protocol == be16(ETH_IP))
		return glance4_goes_on(skb, src, dst);
	return skb->protocol == be16(ETH_IPV6) && glance6_goes_on(skb, src, dst);
}

#endif
