/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The stages of a packet from a pod and of one for a pod, at every hook.
 *
 *     from: source → fragment → ICMP error │ connection → Service → translate → policy → record
 *     to:              fragment → ICMP error │ connection → policy → record → translate back
 */
#ifndef TW_POD_H
#define TW_POD_H

#include "conntrack.h"
#include "deliver.h"
#include "device.h"
#include "ending.h"
#include "icmp.h"
#include "link.h"
#include "nat.h"
#include "policy.h"
#include "reject.h"
#include "source.h"

/*
 * The client's address that a pod sees if it connects to itself through a Service. The kernel would refuse the
 * pod's own address as a martian. It is a link-local address for IPv4, and for IPv6 an address of a range
 * of our own (fd74:7769:6e77:6179::/64, RFC 4193). Replies to either leave through the pod's egress.
 */
static __always_inline void hairpin_client(__be32 *addr, bool v6)
{
	if (!v6) {
		addr_map4(addr, be32(0xa9fe2a01)); /* 169.254.42.1 */
		return;
	}
	addr[0] = be32(0xfd747769);
	addr[1] = be32(0x6e776179);
	addr[2] = 0;
	addr[3] = be32(1);
}

/* Give a packet other ends. */
static __always_inline void pod_become(struct tw_pkt *pkt, const struct tw_end *src,
				       const struct tw_end *dst)
{
	end_copy(&pkt->src, src);
	end_copy(&pkt->dst, dst);
	pkt->changed = 1;
}

/* Drop a fragment if a Service or policy would need its ports. */
static __always_inline int pod_fragment(const struct tw_pkt *pkt)
{
	struct tw_ep *ep;

	if (!pkt->frag)
		return TW_GO_ON;
	if (service_address(pkt->dst.addr))
		return TW_DROP_FRAGMENT;
	ep = ep_get(pkt->src.addr);
	if (ep_is_pod(ep) && ep->policy)
		return TW_DROP_FRAGMENT;
	ep = ep_get(pkt->dst.addr);
	if (ep_is_pod(ep) && ep->policy)
		return TW_DROP_FRAGMENT;
	return TW_PASS_FRAGMENT;
}

/*
 * May the connection keep its backend? An established TCP connection always does: its backend ends it. A SYN
 * gets a new choice, even from a port that another connection had before. A retransmitted SYN gets the same
 * backend, by hash, unless the Service has changed.
 */
static __always_inline bool pod_keeps_backend(const struct tw_pkt *pkt, const struct tw_conn *conn)
{
	if (!conn->names->choice.backend)
		return 0;
	if (pkt->proto == PROTO_TCP)
		return !(pkt->tcp & TCP_SYN);
	return tw_be_v1.lookup(&conn->names->choice.backend) != 0;
}

/*
 * Does the packet belong to a connection whose translation is decided? Not if it opens a connection, or if
 * nobody has ever answered: its destination may have become a Service's address meanwhile.
 */
static __always_inline bool pod_is_under_way(const struct tw_pkt *pkt, const struct tw_conn *conn)
{
	if (conn->names->moved || pod_keeps_backend(pkt, conn))
		return 1;
	if (!conn->ct)
		return 0;
	if (!conn->names->forward || (conn->ct->flags & TW_CT_NAT))
		return 1;
	if (pkt->proto == PROTO_TCP)
		return !is_syn(pkt);
	return !!(conn->ct->flags & TW_CT_REPLIED);
}

/* Choose the backend of a packet to a Service: the one that it has, or a new one. */
static __always_inline int pod_choose(const struct tw_pkt *pkt, struct tw_conn *conn)
{
	struct tw_fe_key key = {};
	int rc;

	if (pod_is_under_way(pkt, conn))
		return TW_GO_ON;
	conn->names->choice.backend = 0;
	conn->names->given.port = 0;
	conn->alias = 0;
	if (pkt->proto != PROTO_TCP && pkt->proto != PROTO_UDP && pkt->proto != PROTO_SCTP)
		return service_address(pkt->dst.addr) ? TW_DROP_SERVICE_OTHER : TW_GO_ON;
	addr_copy(key.addr, pkt->dst.addr);
	key.port = pkt->dst.port;
	key.proto = pkt->proto;
	rc = service_choose(&key, ct_hash(pkt), &conn->names->choice);
	conn->names->hairpin = conn->names->choice.backend &&
			       addr_equal(conn->names->choice.to.addr, pkt->src.addr);
	return rc;
}

/* Translate a packet to a Service, and find the record of its connection. */
static __always_inline int pod_translate(struct tw_pkt *pkt, struct tw_conn *conn)
{
	__u32 hash = ct_hash(pkt);

	end_copy(&conn->names->client, &pkt->src);
	end_copy(&conn->names->vip, &pkt->dst);
	conn->names->forward = 1;
	if (conn->names->given.port)
		end_copy(&pkt->src, &conn->names->given);
	else if (conn->names->hairpin)
		hairpin_client(pkt->src.addr, pkt->v6);
	end_copy(&pkt->dst, &conn->names->choice.to);
	pkt->changed = 1;
	return ct_name(pkt, conn, hash);
}

static __always_inline int pod_judge(struct __sk_buff *skb, const struct tw_pkt *pkt,
				     const struct tw_conn *conn)
{
	const struct tw_end *from = conn->names->forward ? &pkt->src : &pkt->dst;
	const struct tw_end *to = conn->names->forward ? &pkt->dst : &pkt->src;
	struct tw_ends ends = {};

	/* policy knows a client by its own address, not by a translated one */
	if (pkt->changed)
		addr_copy(ends.from, conn->names->client.addr);
	else if (conn->ct && (conn->ct->flags & TW_CT_NAT))
		addr_copy(ends.from, conn->ct->client.addr);
	else
		addr_copy(ends.from, from->addr);
	addr_copy(ends.to, to->addr);
	ends.port = to->port;
	ends.proto = pkt->proto;
	ends.forged = pkt->where && conn->names->forward &&
		      !device_node_sends(skb, pkt->dst.addr, pkt->where == TW_IN_POD);
	return policy_judge(&ends);
}

static __always_inline void pod_note(struct __sk_buff *skb, const struct tw_pkt *pkt,
				     struct tw_conn *conn)
{
	ct_touch(pkt, conn);
	if (pkt->proto == PROTO_TCP && (conn->ct->flags & TW_CT_CLOSING))
		conn->names->over = ending_follow(skb, pkt, conn->ct, conn->names->forward);
}

/* A RST of an unknown connection is late, or answers a segment of no connection. */
static __always_inline bool opens_nothing(const struct tw_pkt *pkt)
{
	return pkt->proto == PROTO_TCP && (pkt->tcp & TCP_RST);
}

/* Judge the connection unless that was done under this revision, and record it. */
static __always_inline int pod_admit(struct __sk_buff *skb, const struct tw_pkt *pkt,
				     struct tw_conn *conn, const struct tw_cfg *cfg)
{
	__u32 rev = cfg->rev;
	int rc;

	if (!conn->ct || conn->ct->rev != rev) {
		rc = pod_judge(skb, pkt, conn);
		if (rc)
			return rc;
	}
	if (!conn->ct) {
		if (!opens_nothing(pkt))
			ct_create(pkt, conn->names, rev);
		return TW_GO_ON;
	}
	if (conn->ct->rev != rev)
		conn->ct->rev = rev;
	pod_note(skb, pkt, conn);
	return TW_GO_ON;
}

static __always_inline void pod_remember_alias(const struct tw_pkt *pkt, const struct tw_conn *conn,
					       const struct tw_cfg *cfg)
{
	__u16 same = TW_CT_CLOSING | TW_CT_ASSURED, flags = conn->ct ? conn->ct->flags & same : 0;
	struct tw_ct *alias = conn->alias;

	if (!alias) {
		if (!opens_nothing(pkt))
			ct_create_alias(pkt, conn->names, cfg->rev);
		return;
	}
	if (alias->seen != conn->names->now)
		alias->seen = conn->names->now;
	if (alias->rev != cfg->rev)
		alias->rev = cfg->rev;
	if (flags != (alias->flags & same))
		alias->flags = (alias->flags & ~same) | flags;
}

/* Give a reply the ends that the client wrote. */
static __always_inline void pod_translate_back(struct tw_pkt *pkt, const struct tw_conn *conn)
{
	pod_become(pkt, &conn->ct->peer, &conn->ct->client);
}

static __always_inline bool pod_is_reply_of_service(const struct tw_conn *conn)
{
	return conn->ct && !conn->names->forward && (conn->ct->flags & TW_CT_NAT);
}

/*
 * Is everything about a packet of a client decided? Its alias, and so its record, was renewed in this unit of
 * time under the current policy. Segments that open or close a connection are for the record. So are all TCP
 * segments until the client has sent one after an answer.
 */
static __always_inline bool pod_is_settled(const struct tw_pkt *pkt, const struct tw_conn *conn,
					   const struct tw_cfg *cfg)
{
	if (!conn->alias || conn->alias->seen != conn->names->now || conn->alias->rev != cfg->rev)
		return 0;
	if (pkt->proto == PROTO_TCP)
		return !(pkt->tcp & (TCP_SYN | TCP_FIN | TCP_RST)) &&
		       (conn->alias->flags & (TW_CT_CLOSING | TW_CT_ASSURED)) == TW_CT_ASSURED;
	return tw_be_v1.lookup(&conn->names->choice.backend) != 0;
}

/* Copy the ends of the alias, for the stages that follow. */
static __always_inline void pod_recall(struct tw_conn *conn)
{
	if (!conn->alias)
		return;
	end_copy(&conn->names->given, &conn->alias->client);
	end_copy(&conn->names->choice.to, &conn->alias->peer);
}

/* A packet of a pod about which something is to be decided. */
static __always_inline int pod_decide(struct __sk_buff *skb, struct tw_pkt *pkt,
				      struct tw_conn *conn, const struct tw_cfg *cfg, bool in_pod)
{
	int rc;

	pod_recall(conn);
	ct_beside(pkt, conn);
	rc = pod_choose(pkt, conn);
	if (rc)
		return rc;
	if (!conn->names->choice.backend && !conn->names->moved) {
		rc = pod_admit(skb, pkt, conn, cfg);
		/* inside the pod, replies are translated where they come in; those of a hairpin never come in */
		if (!rc && pod_is_reply_of_service(conn) && (!in_pod || conn->names->hairpin))
			pod_translate_back(pkt, conn);
		return rc;
	}
	rc = pod_translate(pkt, conn);
	if (!rc)
		rc = pod_admit(skb, pkt, conn, cfg);
	if (!rc)
		pod_remember_alias(pkt, conn, cfg);
	return rc;
}

/* All stages of a packet from a pod except delivery. */
static __always_inline int pod_sends(struct __sk_buff *skb, struct tw_scratch *scratch,
				     struct tw_conn *conn, const struct tw_cfg *cfg, bool in_pod)
{
	struct tw_pkt *pkt = &scratch->pkt;
	bool related = 0;
	int rc = pod_fragment(pkt);

	if (rc)
		return rc;
	if (pkt->icmp == TW_ICMP_ERROR) {
		rc = icmp_related(skb, scratch, cfg, 1, &related);
		if (rc || related)
			return rc;
	}
	ct_find(pkt, conn);
	if (!pod_is_settled(pkt, conn, cfg)) {
		rc = pod_decide(skb, pkt, conn, cfg, in_pod);
		return rc ? rc : ct_commit(pkt, conn->names);
	}
	pod_become(pkt, &conn->alias->client, &conn->alias->peer);
	return TW_GO_ON;
}

/* All stages of a packet for a pod of this node except delivery. */
static __always_inline int pod_receives(struct __sk_buff *skb, struct tw_scratch *scratch,
					struct tw_conn *conn, const struct tw_cfg *cfg)
{
	struct tw_pkt *pkt = &scratch->pkt;
	bool related = 0;
	int rc = pod_fragment(pkt);

	if (rc)
		return rc;
	if (pkt->icmp == TW_ICMP_ERROR) {
		rc = icmp_related(skb, scratch, cfg, 0, &related);
		if (rc || related)
			return rc;
	}
	conn->names->received = 1;
	ct_find(pkt, conn);
	if (conn->alias) /* a reply that was translated where it was sent */
		return TW_GO_ON;
	rc = pod_admit(skb, pkt, conn, cfg);
	if (rc)
		return rc;
	if (pod_is_reply_of_service(conn))
		pod_translate_back(pkt, conn);
	return ct_commit(pkt, conn->names);
}

#endif
