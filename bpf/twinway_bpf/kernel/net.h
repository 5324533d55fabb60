/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The few wire formats that the programs read, and byte-order and address helpers. */
#ifndef TW_NET_H
#define TW_NET_H

#include "tw_types.h"

#define be16(x) ((__be16)__builtin_bswap16(x))
#define be32(x) ((__be32)__builtin_bswap32(x))

#define TC_ACT_UNSPEC (-1) /* the next filter decides; TCX_NEXT, too */
#define TC_ACT_SHOT 2

#define ETH_HLEN 14
#define ETH_IP 0x0800
#define ETH_ARP 0x0806
#define ETH_IPV6 0x86dd
#define ETH_8021Q 0x8100
#define ETH_8021AD 0x88a8

#define PROTO_HOPOPTS 0
#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ROUTING 43
#define PROTO_FRAGMENT 44
#define PROTO_ICMPV6 58
#define PROTO_NONE 59
#define PROTO_DSTOPTS 60
#define PROTO_SCTP 132
#define PROTO_MPTCP 262 /* of sockets; on the wire it is TCP. RFC 8684 */

#define FAMILY_INET 2
#define FAMILY_INET6 10

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct eth_hdr {
	__u16 dst[3];
	__u16 src[3];
	__be16 proto;
};

/* RFC 791; version and length share the first byte. */
struct ip4_hdr {
	__u8 version_ihl;
	__u8 tos;
	__be16 tot_len;
	__be16 id;
	__be16 frag_off;
	__u8 ttl;
	__u8 protocol;
	__u16 check;
	__be32 saddr;
	__be32 daddr;
};

/* RFC 8200. */
struct ip6_hdr {
	__be32 version_class_flow;
	__be16 payload_len;
	__u8 nexthdr;
	__u8 hop_limit;
	__be32 saddr[4];
	__be32 daddr[4];
};

/* How TCP, UDP and SCTP begin. */
struct port_pair {
	__be16 src;
	__be16 dst;
};

/* RFC 9293, RFC 768, RFC 9260; of UDP and SCTP no more than the ports is read. */
struct tcp_hdr {
	struct port_pair ports;
	__be32 seq;
	__be32 ack;
	__u8 offset; /* of the data, in units of 4 bytes, in the upper half */
	__u8 flags;
	__be16 window;
	__u16 check;
	__be16 urgent;
};

struct udp_hdr {
	struct port_pair ports;
	__be16 len;
	__u16 check;
};

struct sctp_hdr {
	struct port_pair ports;
	__be32 tag;
	__be32 check;
};

/* RFC 792, RFC 4443. `rest` is the identifier and sequence of an echo. */
struct icmp_hdr {
	__u8 type;
	__u8 code;
	__u16 check;
	__be16 id;
	__be16 sequence;
};

/* RFC 4861: solicitations and advertisements. */
struct nd_hdr {
	struct icmp_hdr icmp;
	__be32 target[4];
};

/* RFC 826, between Ethernet and IPv4 addresses. */
struct arp_hdr {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_len;
	__u8 protocol_len;
	__be16 operation;
	__u16 sender_mac[3];
	__be16 sender[2]; /* its IPv4 address */
	__u16 target_mac[3];
	__be16 target[2];
};

#define IP4_MORE_FRAGMENTS 0x2000
#define IP4_OFFSET 0x1fff

static __always_inline void mac_copy(__u16 *to, const void *mac)
{
	const __u16 *from = mac;

	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
}

static __always_inline bool mac_equal(const void *one, const void *other)
{
	const __u16 *a = one, *b = other;

	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2];
}

static __always_inline bool mac_known(const void *mac)
{
	const __u16 *a = mac;

	return a[0] || a[1] || a[2];
}

static __always_inline void addr_copy(__be32 *to, const __be32 *from)
{
	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
}

static __always_inline void addr_map4(__be32 *to, __be32 address)
{
	to[0] = 0;
	to[1] = 0;
	to[2] = be32(0x0000ffff);
	to[3] = address;
}

static __always_inline bool addr_is_mapped(const __be32 *addr)
{
	return !addr[0] && !addr[1] && addr[2] == be32(0x0000ffff);
}

static __always_inline bool addr_equal(const __be32 *a, const __be32 *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3];
}

static __always_inline bool addr_is_unspecified(const __be32 *a)
{
	return !(a[0] | a[1] | a[2] | a[3]);
}

/* Of IPv6: fe80::/10 and ff02::/16, which no router forwards. */
static __always_inline bool addr_is_link_local(const __be32 *a)
{
	return (a[0] & be32(0xffc00000)) == be32(0xfe800000);
}

static __always_inline bool addr_is_link_group(const __be32 *a)
{
	return (a[0] & be32(0xffff0000)) == be32(0xff020000);
}

static __always_inline void end_copy(struct tw_end *to, const struct tw_end *from)
{
	addr_copy(to->addr, from->addr);
	to->port = from->port;
}

static __always_inline bool end_equal(const struct tw_end *a, const struct tw_end *b)
{
	return a->port == b->port && addr_equal(a->addr, b->addr);
}

#endif
