/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rewriting one end of a packet, and of what an ICMP error quotes, with every checksum it is in. */
#ifndef TW_NAT_H
#define TW_NAT_H

#include "parse.h"

enum tw_side {
	TW_SRC = 0,
	TW_DST = 1,
};

static __always_inline int nat_checksum_at(const struct tw_pkt *pkt)
{
	switch (pkt->proto) {
	case PROTO_TCP:
		return pkt->l4 + 16;
	case PROTO_UDP:
		return pkt->l4 + 6;
	case PROTO_ICMPV6:
		return pkt->l4 + 2;
	default: /* ICMP has no pseudo header, SCTP's CRC leaves addresses out */
		return 0;
	}
}

/* A UDP checksum of 0 means "none" over IPv4 and must not become one (RFC 768). */
static __always_inline __u64 nat_checksum_flags(const struct tw_pkt *pkt)
{
	return pkt->proto == PROTO_UDP ? BPF_F_MARK_MANGLED_0 : 0;
}

static __always_inline int nat_addr4(struct __sk_buff *skb, const struct tw_pkt *pkt,
				     enum tw_side side, __be32 from, __be32 to)
{
	int at = nat_checksum_at(pkt);
	int field = ETH_HLEN + (side == TW_SRC ? 12 : 16);

	if (at &&
	    bpf_l4_csum_replace(skb, at, from, to, nat_checksum_flags(pkt) | BPF_F_PSEUDO_HDR | 4))
		return TW_DROP_REWRITE;
	if (bpf_l3_csum_replace(skb, ETH_HLEN + 10, from, to, 4) ||
	    bpf_skb_store_bytes(skb, field, &to, sizeof(to), 0))
		return TW_DROP_REWRITE;
	return TW_GO_ON;
}

static __always_inline int nat_addr6(struct __sk_buff *skb, const struct tw_pkt *pkt,
				     enum tw_side side, __be32 *from, __be32 *to)
{
	int at = nat_checksum_at(pkt);
	int field = ETH_HLEN + (side == TW_SRC ? 8 : 24);
	__s64 diff = bpf_csum_diff(from, 16, to, 16, 0);

	if (at && bpf_l4_csum_replace(skb, at, 0, diff, nat_checksum_flags(pkt) | BPF_F_PSEUDO_HDR))
		return TW_DROP_REWRITE;
	return bpf_skb_store_bytes(skb, field, to, 16, 0) ? TW_DROP_REWRITE : TW_GO_ON;
}

static __always_inline int nat_port(struct __sk_buff *skb, const struct tw_pkt *pkt,
				    enum tw_side side, __be16 from, __be16 to)
{
	int at = nat_checksum_at(pkt);

	if (from == to || (pkt->proto != PROTO_TCP && pkt->proto != PROTO_UDP))
		return TW_GO_ON;
	if (bpf_l4_csum_replace(skb, at, from, to, nat_checksum_flags(pkt) | 2) ||
	    bpf_skb_store_bytes(skb, pkt->l4 + (side == TW_SRC ? 0 : 2), &to, sizeof(to), 0))
		return TW_DROP_REWRITE;
	return TW_GO_ON;
}

/* Give one end of the packet another address and port; pkt says the new ones afterwards. */
static __always_inline int nat_end(struct __sk_buff *skb, struct tw_pkt *pkt, enum tw_side side,
				   const struct tw_end *to)
{
	struct tw_end *mine = side == TW_SRC ? &pkt->src : &pkt->dst;
	__be32 addr[4];
	int rc;

	addr_copy(addr, to->addr);
	if (pkt->v6)
		rc = nat_addr6(skb, pkt, side, mine->addr, addr);
	else
		rc = nat_addr4(skb, pkt, side, mine->addr[3], addr[3]);
	if (rc)
		return rc;
	rc = nat_port(skb, pkt, side, mine->port, to->port);
	addr_copy(mine->addr, addr);
	mine->port = to->port;
	return rc;
}

/*
 * The same for the packet that an ICMP error quotes. Its transport checksum is left alone: it may
 * be cut off, and nobody checks it. An IPv4 header's own checksum absorbs its address, so that of
 * ICMP, which covers both, sees the port alone; ICMPv6 sees address and port.
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
