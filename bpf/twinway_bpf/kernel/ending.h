/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of a TCP connection. When each end has acknowledged the other's FIN, both entries are removed. Then
 * the table holds live connections only, and new entries reuse memory that is still in the processor's
 * cache. Connections that end otherwise expire.
 */
#ifndef TW_ENDING_H
#define TW_ENDING_H

#include "conntrack.h"

struct tcp_place {
	__be32 seq;
	__be32 ack;
	__u8 offset; /* of the data, in units of 4 bytes, in the upper half */
};

/* The acknowledgement number that covers this segment and its FIN. */
static __always_inline __u32 ending_after(const struct tw_pkt *pkt, const struct tcp_place *tcp)
{
	__u32 headers = pkt->l4 - ETH_HLEN + (tcp->offset >> 4) * 4;

	return be32(tcp->seq) + pkt->len - headers + 1;
}

static __always_inline enum tw_over ending_over(const struct tw_ct *ct)
{
	if (!(ct->flags & TW_CT_NAT))
		return TW_OVER_DIRECT;
	return ct->backend ? TW_OVER_SERVICE : TW_OVER_BY_NAME;
}

/* Follow a closing connection; the result tells whether this packet is its last one. */
static __always_inline enum tw_over ending_follow(struct __sk_buff *skb, const struct tw_pkt *pkt,
						  struct tw_ct *ct, bool forward)
{
	bool first = forward == !!(ct->flags & TW_CT_FIRST);
	bool other = ct->fin && first != !!(ct->flags & TW_CT_FIN_FIRST);
	struct tcp_place tcp;

	if (packet_get(skb, pkt->l4 + 4, &tcp))
		return TW_OVER_NOT;
	if (!(pkt->tcp & TCP_FIN)) {
		if (other && (ct->flags & TW_CT_FIN_BOTH) && be32(tcp.ack) == ct->fin)
			return ending_over(ct);
		return TW_OVER_NOT;
	}
	if (other) {
		ct->flags &= ~(TW_CT_FIN_BOTH | TW_CT_FIN_FIRST);
		ct->flags |= be32(tcp.ack) == ct->fin ? TW_CT_FIN_BOTH : 0;
	}
	ct->flags |= first ? TW_CT_FIN_FIRST : 0;
	ct->fin = ending_after(pkt, &tcp);
	return TW_OVER_NOT;
}

/* Remove the entries of a connection whose last packet is pkt. */
static __always_inline void ending_forget(struct tw_pkt *pkt, struct tw_names *names)
{
	struct tw_ct_key *key = &names->key;

	tw_ct_v3.delete(key);
	if (names->over == TW_OVER_DIRECT)
		return;
	/* the ends that the client wrote; a reply has them already */
	if (names->forward) {
		end_copy(&pkt->src, &names->client);
		end_copy(&pkt->dst, &names->vip);
	}
	ct_key(key, &pkt->src, &pkt->dst, pkt->proto);
	key->written = names->over == TW_OVER_BY_NAME;
	tw_ct_v3.delete(key);
	key->written = 0;
}

#endif
