/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Turns a packet that nobody serves into the answer to its sender. TCP is answered by the reset of a closed port
 * (RFC 9293, 3.10.7.1), because a connecting socket takes an ICMPv6 error for a soft one and retries after a
 * second. Other protocols are answered by an ICMP port unreachable (RFC 792, RFC 4443).
 */
#ifndef TW_REJECT_H
#define TW_REJECT_H

#include "parse.h"

#define ICMP_UNREACHABLE 3
#define ICMP_PORT 3
#define ICMP6_UNREACHABLE 1
#define ICMP6_PORT 4
#define REJECT_TTL 64

#define QUOTE 8 /* bytes of the transport header: enough for the ports (RFC 792) */

struct reject_message {
	struct icmp_hdr icmp;
	__u8 quote[sizeof(struct ip6_hdr) + QUOTE];
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

/* Copy the quoted bytes to msg.quote, truncate the packet to them, and make room for the headers. */
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

struct tcp_head {
	__be32 seq;
	__be32 ack;
	__be16 offset_flags;
};

/* Swap source and destination. Checksums do not change. */
static __always_inline int reject_swap_ends(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	__be16 ports[2] = {pkt->dst.port, pkt->src.port};
	__be32 pair[8];
	int rc;

	addr_copy(pair, pkt->dst.addr);
	addr_copy(pair + 4, pkt->src.addr);
	if (pkt->v6) {
		rc = bpf_skb_store_bytes(skb, ETH_HLEN + 8, pair, 32, 0);
	} else {
		/* the last words of both are the IPv4 addresses */
		pair[6] = pair[3];
		rc = bpf_skb_store_bytes(skb, ETH_HLEN + 12, pair + 6, 8, 0);
	}
	return rc || bpf_skb_store_bytes(skb, pkt->l4, ports, sizeof(ports), 0) ? TW_DROP_REWRITE
										: TW_GO_ON;
}

/* The reset of a closed port: it acknowledges a SYN; otherwise it has the sequence number that was acknowledged. */
static __always_inline int reject_tcp(struct __sk_buff *skb, const struct tw_pkt *pkt)
{
	struct tcp_head old = {}, new = {};
	int at = pkt->l4 + 4;

	if ((pkt->tcp & TCP_RST) || bpf_skb_load_bytes(skb, at, &old, sizeof(old)))
		return TW_DROP_REWRITE;
	new.offset_flags = (old.offset_flags & be16(0xff00)) | be16(TCP_RST);
	if (pkt->tcp & TCP_ACK) {
		new.seq = old.ack;
	} else {
		new.ack = be32(be32(old.seq) + 1);
		new.offset_flags |= be16(TCP_ACK);
	}
	if (bpf_l4_csum_replace(skb, pkt->l4 + 16, old.seq, new.seq, 4) ||
	    bpf_l4_csum_replace(skb, pkt->l4 + 16, old.ack, new.ack, 4) ||
	    bpf_l4_csum_replace(skb, pkt->l4 + 16, old.offset_flags, new.offset_flags, 2) ||
	    bpf_skb_store_bytes(skb, at, &new, sizeof(new), 0))
		return TW_DROP_REWRITE;
	return reject_swap_ends(skb, pkt);
}

static __always_inline int reject_icmp(struct __sk_buff *skb, const struct tw_pkt *pkt,
				       struct reject_message *msg)
{
	/* options and extension headers would have to be quoted, too; RFC 1122 allows no answer */
	if (pkt->l4 != ETH_HLEN + (pkt->v6 ? sizeof(struct ip6_hdr) : sizeof(struct ip4_hdr)))
		return TW_DROP_REWRITE;
	__builtin_memset(&msg->icmp, 0, sizeof(msg->icmp));
	/* verifier: the length must be a constant in each branch */
	if (pkt->v6)
		return reject_ip6(skb, pkt, msg, sizeof(struct ip6_hdr) + QUOTE);
	return reject_ip4(skb, pkt, msg, sizeof(struct ip4_hdr) + QUOTE);
}

/* Turn the packet into its answer, which the caller sends back. */
static __always_inline int reject(struct __sk_buff *skb, const struct tw_pkt *pkt,
				  struct reject_message *msg)
{
	__u8 mac[12], swapped[12];
	int rc = pkt->proto == PROTO_TCP ? reject_tcp(skb, pkt) : reject_icmp(skb, pkt, msg);

	if (rc || bpf_skb_load_bytes(skb, 0, mac, sizeof(mac)))
		return TW_DROP_REWRITE;
	__builtin_memcpy(swapped, mac + 6, 6);
	__builtin_memcpy(swapped + 6, mac, 6);
	return bpf_skb_store_bytes(skb, 0, swapped, sizeof(swapped), 0) ? TW_DROP_REWRITE
									: TW_GO_ON;
}

#endif
