/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * "Nobody serves this here": the packet at hand becomes the ICMP port unreachable that answers it
 * (RFC 792, RFC 4443), as kube-proxy's REJECT does for TCP and UDP alike.
 */
#ifndef TW_REJECT_H
#define TW_REJECT_H

#include "parse.h"

#define ICMP_UNREACHABLE 3
#define ICMP_PORT 3
#define ICMP6_UNREACHABLE 1
#define ICMP6_PORT 4
#define REJECT_TTL 64

/* A whole TCP header: with checksum offload the kernel refuses to cut off its checksum field. */
#define QUOTE_TCP 20
#define QUOTE_UDP 8

struct reject_message {
	struct icmp_hdr icmp;
	__u8 quote[sizeof(struct ip6_hdr) + QUOTE_TCP];
};

/* RFC 8200, 8.1. */
struct pseudo6 {
	__be32 saddr[4];
	__be32 daddr[4];
	__be32 len;
	__be32 next;
};

static __always_inline __u16 reject_fold(__s64 sum)
{
	__u32 s = sum;

	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return ~s;
}

/* Cut the packet down to what is quoted and make room before it; msg.quote gets the quote. */
static __always_inline int reject_room(struct __sk_buff *skb, struct reject_message *msg, int ip,
				       int quote)
{
	int room = ip + sizeof(msg->icmp);

	if (bpf_skb_change_tail(skb, ETH_HLEN + quote, 0) ||
	    bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, 0) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN + room, msg->quote, quote))
		return TW_DROP_REWRITE;
	return TW_GO_ON;
}

static __always_inline int reject_ip4(struct __sk_buff *skb, const struct tw_pkt *pkt,
				      struct reject_message *msg, int quote)
{
	struct ip4_hdr ip = {};
	int rc = reject_room(skb, msg, sizeof(ip), quote);

	if (rc)
		return rc;
	msg->icmp.type = ICMP_UNREACHABLE;
	msg->icmp.code = ICMP_PORT;
	msg->icmp.check =
		reject_fold(bpf_csum_diff(0, 0, (__be32 *)msg, sizeof(msg->icmp) + quote, 0));
	ip.version_ihl = 0x45;
	ip.tot_len = be16((__u16)(sizeof(ip) + sizeof(msg->icmp) + quote));
	ip.ttl = REJECT_TTL;
	ip.protocol = PROTO_ICMP;
	ip.saddr = pkt->dst.addr[3];
	ip.daddr = pkt->src.addr[3];
	ip.check = reject_fold(bpf_csum_diff(0, 0, (__be32 *)&ip, sizeof(ip), 0));
	if (bpf_skb_store_bytes(skb, ETH_HLEN, &ip, sizeof(ip), 0) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN + sizeof(ip), &msg->icmp, sizeof(msg->icmp), 0))
		return TW_DROP_REWRITE;
	return TW_GO_ON;
}

static __always_inline int reject_ip6(struct __sk_buff *skb, const struct tw_pkt *pkt,
				      struct reject_message *msg, int quote)
{
	struct pseudo6 pseudo = {};
	struct ip6_hdr ip = {};
	__u32 len = sizeof(msg->icmp) + quote;
	int rc = reject_room(skb, msg, sizeof(ip), quote);

	if (rc)
		return rc;
	ip.version_class_flow = be32(6 << 28);
	ip.payload_len = be16((__u16)len);
	ip.nexthdr = PROTO_ICMPV6;
	ip.hop_limit = REJECT_TTL;
	addr_copy(ip.saddr, pkt->dst.addr);
	addr_copy(ip.daddr, pkt->src.addr);
	addr_copy(pseudo.saddr, ip.saddr);
	addr_copy(pseudo.daddr, ip.daddr);
	pseudo.len = be32(len);
	pseudo.next = be32(PROTO_ICMPV6);
	msg->icmp.type = ICMP6_UNREACHABLE;
	msg->icmp.code = ICMP6_PORT;
	msg->icmp.check = reject_fold(
		bpf_csum_diff(0, 0, (__be32 *)msg, len,
			      bpf_csum_diff(0, 0, (__be32 *)&pseudo, sizeof(pseudo), 0)));
	if (bpf_skb_store_bytes(skb, ETH_HLEN, &ip, sizeof(ip), 0) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN + sizeof(ip), &msg->icmp, sizeof(msg->icmp), 0))
		return TW_DROP_REWRITE;
	return TW_GO_ON;
}

/* Turn the packet into the answer to itself; the caller sends it back. */
static __always_inline int reject(struct __sk_buff *skb, const struct tw_pkt *pkt,
				  struct reject_message *msg)
{
	__u8 mac[12], turned[12];
	int rc;

	__builtin_memset(&msg->icmp, 0, sizeof(msg->icmp));
	/* options and extension headers would have to be quoted, too: silence is allowed (RFC 1122) */
	if (pkt->l4 != ETH_HLEN + (pkt->v6 ? sizeof(struct ip6_hdr) : sizeof(struct ip4_hdr)))
		return TW_DROP_REWRITE;
	/* verifier: each length is a constant of its own branch */
	if (pkt->v6 && pkt->proto == PROTO_TCP)
		rc = reject_ip6(skb, pkt, msg, sizeof(struct ip6_hdr) + QUOTE_TCP);
	else if (pkt->v6)
		rc = reject_ip6(skb, pkt, msg, sizeof(struct ip6_hdr) + QUOTE_UDP);
	else if (pkt->proto == PROTO_TCP)
		rc = reject_ip4(skb, pkt, msg, sizeof(struct ip4_hdr) + QUOTE_TCP);
	else
		rc = reject_ip4(skb, pkt, msg, sizeof(struct ip4_hdr) + QUOTE_UDP);
	if (rc || bpf_skb_load_bytes(skb, 0, mac, sizeof(mac)))
		return TW_DROP_REWRITE;
	__builtin_memcpy(turned, mac + 6, 6);
	__builtin_memcpy(turned + 6, mac, 6);
	return bpf_skb_store_bytes(skb, 0, turned, sizeof(turned), 0) ? TW_DROP_REWRITE : TW_GO_ON;
}

#endif
