/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ICMP errors quote the packet that caused them. An error about a known connection passes, and is translated to
 * the addresses that its receiver knows, as RFC 5508 asks of NATs.
 */
#ifndef TW_ICMP_H
#define TW_ICMP_H

#include "conntrack.h"
#include "nat.h"
#include "scratch.h"

/* Translate the client's end in the quoted packet, if it differs in the other name of the connection. */
static __always_inline int icmp_client(struct __sk_buff *skb, const struct tw_pkt *pkt,
				       const struct tw_pkt *quoted, enum tw_side side,
				       const struct tw_end *client)
{
	if (end_equal(side == TW_SRC ? &quoted->src : &quoted->dst, client))
		return TW_GO_ON;
	return nat_quoted(skb, pkt, quoted, side, client);
}

/* An error from a client about a reply: the backend gets it about its own packet. */
static __always_inline int icmp_to_backend(struct __sk_buff *skb, struct tw_pkt *pkt,
					   const struct tw_pkt *quoted, const struct tw_ct *alias)
{
	int rc = icmp_client(skb, pkt, quoted, TW_DST, &alias->client);

	if (!rc)
		rc = nat_quoted(skb, pkt, quoted, TW_SRC, &alias->peer);
	if (rc)
		return rc;
	end_copy(&pkt->dst, &alias->peer);
	pkt->changed = 1;
	return TW_GO_ON;
}

/* An error about a client's packet after translation: the client gets it about the packet that it wrote. */
static __always_inline int icmp_to_client(struct __sk_buff *skb, struct tw_pkt *pkt,
					  const struct tw_pkt *quoted, const struct tw_ct *record)
{
	int rc = icmp_client(skb, pkt, quoted, TW_SRC, &record->client);

	if (!rc)
		rc = nat_quoted(skb, pkt, quoted, TW_DST, &record->peer);
	/* a router on the way keeps its own address */
	if (rc || !addr_equal(pkt->src.addr, quoted->dst.addr))
		return rc;
	end_copy(&pkt->src, &record->peer);
	pkt->changed = 1;
	return TW_GO_ON;
}

/*
 * Does the error quote a packet that its receiver sent, and, if a pod sends it, one that the pod received?
 * Otherwise a pod could send data to any host by quoting a connection of another.
 */
static __always_inline bool icmp_is_to_sender(const struct tw_pkt *pkt, const struct tw_pkt *quoted,
					      bool from_pod)
{
	return addr_equal(pkt->dst.addr, quoted->src.addr) &&
	       (!from_pod || addr_equal(pkt->src.addr, quoted->dst.addr));
}

/*
 * Translate an ICMP error. `related`: it concerns a known connection that the current policy allows. The packet
 * that caused the error has just passed, so a record that was not judged under the current revision cannot
 * be its connection's.
 */
static __always_inline int icmp_related(struct __sk_buff *skb, struct tw_scratch *scratch,
					const struct tw_cfg *cfg, bool from_pod, bool *related)
{
	struct tw_pkt *pkt = &scratch->pkt, *quoted = &scratch->quoted;
	struct tw_ct_key key = {};
	struct tw_ct *ct;
	bool first;
	int rc;

	__builtin_memset(quoted, 0, sizeof(*quoted));
	rc = parse_quoted(skb, pkt, quoted);
	if (rc)
		return rc;
	if (!icmp_is_to_sender(pkt, quoted, from_pod))
		return TW_GO_ON;
	first = ct_key(&key, &quoted->src, &quoted->dst, quoted->proto);
	ct = tw_ct_v3.lookup(&key);
	if (!ct || ct->rev != cfg->rev || ct_expired(ct, quoted->proto, ct_now()))
		return TW_GO_ON;
	*related = 1;
	first = first == !!(ct->flags & TW_CT_FIRST);
	if (ct->flags & TW_CT_ALIAS)
		return first ? TW_GO_ON : icmp_to_backend(skb, pkt, quoted, ct);
	if ((ct->flags & TW_CT_NAT) && !(ct->flags & TW_CT_HAIRPIN) && first)
		return icmp_to_client(skb, pkt, quoted, ct);
	return TW_GO_ON;
}

#endif
