/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Parses a packet into struct tw_pkt. Only this file knows where headers are. */
#ifndef TW_PARSE_H
#define TW_PARSE_H

#include "packet.h"
#include "verdict.h"

enum tw_frag {
	TW_WHOLE = 0,
	TW_FRAG_FIRST = 1, /* has its ports */
	TW_FRAG_LATER = 2, /* has none */
};

/* How the programs treat an ICMP message. */
enum tw_icmp {
	TW_ICMP_NONE = 0,
	TW_ICMP_ECHO = 1,
	TW_ICMP_ERROR = 2,     /* quotes the packet that caused it */
	TW_ICMP_NEIGHBOUR = 3, /* never filtered, never translated */
	TW_ICMP_OTHER = 4,
};

/* Where a packet is met. */
enum tw_where {
	TW_FROM_POD = 0,
	TW_AT_HOST_SIDE = 1, /* on its way into the pod, from the host's stack */
	TW_IN_POD = 2,	     /* at the pod's own device, where it comes in */
	TW_AT_UPLINK = 3,
};

struct tw_pkt {
	struct tw_end src;
	struct tw_end dst;
	__u16 l4;    /* offset of the transport header */
	__u16 inner; /* ICMP error: offset of the quoted IP header */
	__u8 proto;
	__u8 v6;
	__u8 tcp;  /* TCP flags */
	__u8 frag; /* enum tw_frag */
	__u8 icmp; /* enum tw_icmp */
	__u8 ttl;
	__u16 len;    /* of the IP packet, host order */
	__u8 changed; /* an end differs from the packet's bytes until nat_write() */
	__u8 where;   /* enum tw_where */
	__u8 pad[2];
	int action; /* TC_ACT_* once a stage has decided where the packet goes */
	__u32 end; /* offset behind the IP packet's last byte; the padding that follows is never read */
};

/* Extension headers that may stand before the transport header. */
#define PARSE_EXTENSIONS 4

/* Does the IP packet hold `len` bytes at `at`? A receiver reads nothing beyond it, so nothing there counts. */
static __always_inline bool parse_holds(const struct tw_pkt *pkt, __u32 at, __u32 len)
{
	return at + len <= pkt->end;
}

/*
 * Set pkt->end by the IP length, which must not exceed the bytes there are. Receivers drop a packet that is cut
 * off, so only a quoted one may be. Length 0 is legal in the kernel's own jumbo packets (BIG TCP) alone;
 * receivers drop others.
 */
static __always_inline int parse_end(struct tw_pkt *pkt, __u32 at, __u32 len, bool quoted)
{
	if (!len)
		return TW_GO_ON;
	if (at + len <= pkt->end)
		pkt->end = at + len;
	else if (!quoted)
		return TW_DROP_SHORT;
	return TW_GO_ON;
}

static __always_inline int parse_ip4(struct __sk_buff *skb, __u16 at, struct tw_pkt *pkt,
				     bool quoted)
{
	struct ip4_hdr ip;

	if (packet_get(skb, at, &ip))
		return TW_DROP_SHORT;
	if ((ip.version_ihl >> 4) != 4 || (ip.version_ihl & 0xf) < 5)
		return TW_DROP_SHORT;
	addr_map4(pkt->src.addr, ip.saddr);
	addr_map4(pkt->dst.addr, ip.daddr);
	pkt->v6 = 0;
	pkt->proto = ip.protocol;
	pkt->ttl = ip.ttl;
	pkt->len = be16(ip.tot_len);
	pkt->l4 = at + (ip.version_ihl & 0xf) * 4;
	if (be16(ip.frag_off) & IP4_OFFSET)
		pkt->frag = TW_FRAG_LATER;
	else if (be16(ip.frag_off) & IP4_MORE_FRAGMENTS)
		pkt->frag = TW_FRAG_FIRST;
	else
		pkt->frag = TW_WHOLE;
	if (parse_end(pkt, at, pkt->len, quoted) || pkt->l4 > pkt->end)
		return TW_DROP_SHORT;
	return TW_GO_ON;
}

static __always_inline bool is_extension(__u8 next)
{
	return next == PROTO_HOPOPTS || next == PROTO_ROUTING || next == PROTO_DSTOPTS ||
	       next == PROTO_FRAGMENT;
}

/* One step along the extension headers: 0 when `next` is no extension. */
static __always_inline int parse_extension(struct __sk_buff *skb, struct tw_pkt *pkt, __u8 *next)
{
	__u8 head[4];

	if (!is_extension(*next))
		return 0;
	/* the shortest has 8 bytes */
	if (!parse_holds(pkt, pkt->l4, 8) || bpf_skb_load_bytes(skb, pkt->l4, head, sizeof(head)))
		return -TW_DROP_SHORT;
	/* segments are left: the final destination is not the one in the IP header */
	if (*next == PROTO_ROUTING && head[3])
		return -TW_DROP_SHORT;
	if (*next == PROTO_FRAGMENT) {
		__u16 offset = (head[2] << 8) | head[3];

		/* an atomic fragment (RFC 6946) is a whole packet */
		if (offset >> 3)
			pkt->frag = TW_FRAG_LATER;
		else if (offset & 1)
			pkt->frag = TW_FRAG_FIRST;
		pkt->l4 += 8;
	} else {
		pkt->l4 += (head[1] + 1) * 8;
	}
	*next = head[0];
	return 1;
}

static __always_inline int parse_ip6(struct __sk_buff *skb, __u16 at, struct tw_pkt *pkt,
				     bool quoted)
{
	struct ip6_hdr ip;
	__u8 next;
	int more;

	if (packet_get(skb, at, &ip))
		return TW_DROP_SHORT;
	if ((be32(ip.version_class_flow) >> 28) != 6)
		return TW_DROP_SHORT;
	/* multicast: no receiver accepts it as a source, and tw_ep has keys of this form (device.h) */
	if (!quoted && (ip.saddr[0] & be32(0xff000000)) == be32(0xff000000))
		return TW_DROP_SHORT;
	addr_copy(pkt->src.addr, ip.saddr);
	addr_copy(pkt->dst.addr, ip.daddr);
	pkt->v6 = 1;
	pkt->ttl = ip.hop_limit;
	pkt->len = be16(ip.payload_len) + sizeof(ip);
	pkt->l4 = at + sizeof(ip);
	pkt->frag = TW_WHOLE;
	if (parse_end(pkt, at, ip.payload_len ? pkt->len : 0, quoted))
		return TW_DROP_SHORT;
	next = ip.nexthdr;
#pragma unroll
	for (int i = 0; i < PARSE_EXTENSIONS; i++) {
		if (pkt->frag == TW_FRAG_LATER)
			break;
		more = parse_extension(skb, pkt, &next);
		if (more < 0)
			return -more;
		if (!more)
			break;
	}
	/* behind further headers is a protocol that is not known here */
	if (pkt->frag != TW_FRAG_LATER && is_extension(next))
		return TW_DROP_SHORT;
	if (pkt->l4 > pkt->end)
		return TW_DROP_SHORT;
	pkt->proto = next;
	return TW_GO_ON;
}

/*
 * Is it multicast listener discovery (hop limit 1: RFC 2710, RFC 3810) or neighbour discovery (255: RFC 4861), not
 * in a fragment (RFC 6980)? With another hop limit it could reach a pod elsewhere, so policy judges it.
 */
static __always_inline bool icmp_is_of_link(const struct tw_pkt *pkt, __u8 type)
{
	if (pkt->frag)
		return 0;
	if (type >= 133 && type <= 137)
		return pkt->ttl == 255;
	return pkt->ttl == 1 && ((type >= 130 && type <= 132) || type == 143);
}

static __always_inline __u8 icmp_kind(const struct tw_pkt *pkt, __u8 type)
{
	if (pkt->proto == PROTO_ICMP) {
		if (type == 8 || type == 0)
			return TW_ICMP_ECHO;
		/* unreachable, time exceeded, parameter problem */
		return type == 3 || type == 11 || type == 12 ? TW_ICMP_ERROR : TW_ICMP_OTHER;
	}
	if (type == 128 || type == 129)
		return TW_ICMP_ECHO;
	if (type >= 1 && type <= 4)
		return TW_ICMP_ERROR;
	return icmp_is_of_link(pkt, type) ? TW_ICMP_NEIGHBOUR : TW_ICMP_OTHER;
}

static __always_inline int parse_icmp(struct __sk_buff *skb, struct tw_pkt *pkt)
{
	struct icmp_hdr icmp;

	if (!parse_holds(pkt, pkt->l4, sizeof(icmp)) || packet_get(skb, pkt->l4, &icmp))
		return TW_DROP_SHORT;
	pkt->icmp = icmp_kind(pkt, icmp.type);
	if (pkt->icmp == TW_ICMP_ECHO) {
		pkt->src.port = icmp.id;
		pkt->dst.port = icmp.id;
	} else if (pkt->icmp == TW_ICMP_ERROR) {
		pkt->inner = pkt->l4 + sizeof(icmp);
	}
	return TW_GO_ON;
}

/* The size of a header with ports. A first fragment must hold all of it (RFC 1858, RFC 8200). */
static __always_inline __u32 parse_transport_size(__u8 proto)
{
	if (proto == PROTO_TCP)
		return sizeof(struct tcp_hdr);
	return proto == PROTO_UDP ? sizeof(struct udp_hdr) : sizeof(struct sctp_hdr);
}

/* Parse ports, TCP flags or the kind of ICMP at pkt->l4. A later fragment has none of them. */
static __always_inline int parse_transport(struct __sk_buff *skb, struct tw_pkt *pkt)
{
	struct port_pair ports;

	if (pkt->frag == TW_FRAG_LATER)
		return TW_GO_ON;
	if ((pkt->proto == PROTO_ICMP && !pkt->v6) || (pkt->proto == PROTO_ICMPV6 && pkt->v6))
		return parse_icmp(skb, pkt);
	if (pkt->proto != PROTO_TCP && pkt->proto != PROTO_UDP && pkt->proto != PROTO_SCTP)
		return TW_GO_ON;
	if (!parse_holds(pkt, pkt->l4, parse_transport_size(pkt->proto)) ||
	    packet_get(skb, pkt->l4, &ports))
		return TW_DROP_SHORT;
	pkt->src.port = ports.src;
	pkt->dst.port = ports.dst;
	if (pkt->proto == PROTO_TCP && packet_get(skb, pkt->l4 + 13, &pkt->tcp))
		return TW_DROP_SHORT;
	return TW_GO_ON;
}

/* Parse the packet that a program was called with. `pkt` must be all zero. */
static __always_inline int parse(struct __sk_buff *skb, struct tw_pkt *pkt)
{
	int rc;

	pkt->action = TC_ACT_UNSPEC;
	pkt->end = skb->len;
	if (skb->protocol == be16(ETH_IP))
		rc = parse_ip4(skb, ETH_HLEN, pkt, 0);
	else if (skb->protocol == be16(ETH_IPV6))
		rc = parse_ip6(skb, ETH_HLEN, pkt, 0);
	else
		return TW_PASS_NOT_IP;
	if (rc)
		return rc;
	rc = parse_transport(skb, pkt);
	if (rc)
		return rc;
	return pkt->icmp == TW_ICMP_NEIGHBOUR ? TW_PASS_NEIGHBOUR : TW_GO_ON;
}

/* Parse what an ICMP error quotes: addresses, and the first 4 bytes of transport, which RFC 792 guarantees. */
static __always_inline int parse_quoted(struct __sk_buff *skb, const struct tw_pkt *pkt,
					struct tw_pkt *quoted)
{
	struct port_pair ports;
	int rc;

	quoted->end = pkt->end;
	rc = pkt->v6 ? parse_ip6(skb, pkt->inner, quoted, 1)
		     : parse_ip4(skb, pkt->inner, quoted, 1);
	if (rc)
		return rc;
	if (quoted->frag == TW_FRAG_LATER)
		return TW_GO_ON;
	if (quoted->proto == PROTO_ICMP || quoted->proto == PROTO_ICMPV6)
		return parse_icmp(skb, quoted);
	if (!parse_holds(quoted, quoted->l4, sizeof(ports)) || packet_get(skb, quoted->l4, &ports))
		return TW_DROP_SHORT;
	quoted->src.port = ports.src;
	quoted->dst.port = ports.dst;
	return TW_GO_ON;
}

#endif
