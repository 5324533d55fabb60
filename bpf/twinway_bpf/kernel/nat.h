/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writes translated addresses and ports into a packet, or into what an ICMP error quotes, with their checksums. */
#ifndef TW_NAT_H
#define TW_NAT_H

#include "parse.h"

static __always_inline int nat_checksum_at(const struct tw_pkt *pkt)
{
	switch (pkt->proto) {
	case PROTO_TCP:
		return pkt->l4 + 16;
	case PROTO_UDP:
		return pkt->l4 + 6;
	case PROTO_ICMPV6:
		return pkt->l4 + 2;
	default: /* no pseudo header in ICMP, no addresses in SCTP's CRC */
		return 0;
	}
}

/* A UDP checksum of 0 means "none" over IPv4 and must not become one (RFC 768). */
static __always_inline __u64 nat_checksum_flags(const struct tw_pkt *pkt)
{
	return pkt->proto == PROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
}

/* The kernel updates it, because only the kernel knows whether it covers more than the pseudo header yet. */
static __always_inline int nat_checksum(struct __sk_buff *skb, const struct tw_pkt *pkt,
					__u32 addresses, __u32 ports)
{
	__u64 flags = nat_checksum_flags(pkt);
	int at = nat_checksum_at(pkt);

	if (at && bpf_l4_csum_replace(skb, at, 0, addresses, flags | BPF_F_PSEUDO_HDR))
		return TW_DROP_REWRITE;
	if (ports && bpf_l4_csum_replace(skb, at, 0, ports, flags))
		return TW_DROP_REWRITE;
	return TW_GO_ON;
}

/*
 * The difference for a checksum between two sums of 32-bit words. The size of the words does not matter in
 * ones' complement arithmetic (RFC 1624).
 */
static __always_inline __u32 nat_difference(__u64 from, __u64 to)
{
	__u64 sum;

	from = (__u32)from + (from >> 32);
	from = (__u32)from + (from >> 32);
	sum = to + (__u32)~from;
	sum = (__u32)sum + (sum >> 32);
	return (__u32)sum + (sum >> 32);
}

static __always_inline __u64 nat_sum(const __be32 *addr)
{
	return (__u64)addr[0] + addr[1] + addr[2] + addr[3];
}

/* Write the addresses. Returns the difference for checksums; 0: the packet could not be written. */
static __always_inline __u32 nat_write4(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	struct ip4_hdr *ip = packet_at(skb, ETH_HLEN, sizeof(*ip));
	__be32 src = pkt->src.addr[3], dst = pkt->dst.addr[3];
	__u32 difference, check;

	if (!ip)
		return 0;
	difference = nat_difference((__u64)ip->saddr + ip->daddr, (__u64)src + dst);
	check = (__u16)~ip->check + (difference & 0xffff) + (difference >> 16);
	check = (check & 0xffff) + (check >> 16);
	ip->check = ~((check & 0xffff) + (check >> 16));
	ip->saddr = src;
	ip->daddr = dst;
	return difference;
}

static __always_inline __u32 nat_write6(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	struct ip6_hdr *ip = packet_at(skb, ETH_HLEN, sizeof(*ip));
	__u64 before, after;

	if (!ip)
		return 0;
	before = nat_sum(ip->saddr) + nat_sum(ip->daddr);
	after = nat_sum(pkt->src.addr) + nat_sum(pkt->dst.addr);
	addr_copy(ip->saddr, pkt->src.addr);
	addr_copy(ip->daddr, pkt->dst.addr);
	return nat_difference(before, after);
}

/* Write the ends of pkt into the packet, and update every checksum that covers them. */
static __always_inline int nat_write(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	struct port_pair *is;
	__u32 addresses, ports = 0;

	if (pkt->proto == PROTO_TCP || pkt->proto == PROTO_UDP) {
		is = packet_at(skb, pkt->l4, sizeof(*is));
		if (!is)
			return TW_DROP_REWRITE;
		if (is->src != pkt->src.port || is->dst != pkt->dst.port)
			ports = nat_difference(is->src + is->dst, pkt->src.port + pkt->dst.port);
		is->src = pkt->src.port;
		is->dst = pkt->dst.port;
	}
	addresses = pkt->v6 ? nat_write6(skb, pkt) : nat_write4(skb, pkt);
	if (!addresses)
		return TW_DROP_REWRITE;
	return nat_checksum(skb, pkt, addresses, ports);
}

enum tw_side {
	TW_SRC = 0,
	TW_DST = 1,
};

/*
 * Write one end of the packet that an ICMP error quotes. The quoted transport checksum stays, because it may be
 * cut off and nobody verifies it. The checksum of ICMP also covers the quoted IPv4 header's own checksum, which
 * compensates for the address, so only the port changes it; that of ICMPv6 changes with address and port.
 */
static __always_inline int nat_quoted(struct __sk_buff *skb, const struct tw_pkt *pkt,
				      const struct tw_pkt *quoted, enum tw_side side,
				      const struct tw_end *to)
{
	const struct tw_end *from = side == TW_SRC ? &quoted->src : &quoted->dst;
	int field = pkt->inner + (quoted->v6 ? 8 : 12) + (side == TW_SRC ? 0 : quoted->v6 ? 16 : 4);
	__be32 old[4], addr[4];
	__be16 port = to->port;

	addr_copy(old, from->addr);
	addr_copy(addr, to->addr);
	if (quoted->v6) {
		if (bpf_l4_csum_replace(skb, pkt->l4 + 2, 0, bpf_csum_diff(old, 16, addr, 16, 0),
					0) ||
		    bpf_skb_store_bytes(skb, field, addr, 16, 0))
			return TW_DROP_REWRITE;
	} else if (bpf_l3_csum_replace(skb, pkt->inner + 10, old[3], addr[3], 4) ||
		   bpf_skb_store_bytes(skb, field, &addr[3], 4, 0)) {
		return TW_DROP_REWRITE;
	}
	if (port == from->port || quoted->frag == TW_FRAG_LATER)
		return TW_GO_ON;
	if (bpf_l4_csum_replace(skb, pkt->l4 + 2, from->port, port, 2) ||
	    bpf_skb_store_bytes(skb, quoted->l4 + (side == TW_SRC ? 0 : 2), &port, 2, 0))
		return TW_DROP_REWRITE;
	return TW_GO_ON;
}

#endif
