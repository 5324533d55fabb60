/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The connection table. A connection through a Service has two entries:
 *
 *     record  (client, backend) -> peer = Service     found by replies, and by what is translated
 *     alias   (client, Service) -> peer = backend     found by what the client sends
 *
 * Neither is right alone, and each makes the other again: the client writes a record
 * that was evicted, and finds the same backend without its alias, because the choice is a hash of
 * the connection over a sorted set. So an eviction costs a look-up, not a connection. Both are
 * renewed together, once in a unit of time: in between, an alias answers for its record.
 */
#ifndef TW_CONNTRACK_H
#define TW_CONNTRACK_H

#include "idle.h"
#include "parse.h"
#include "service.h"

/* What is known of a packet's connection, apart from its entries. */
struct tw_names {
	struct tw_ct_key key;	 /* of the record */
	struct tw_end vip;	 /* what the client wrote, where that is a Service */
	struct tw_choice choice; /* and what becomes of it */
	__be16 own_port;	 /* the client's port, as it wrote it */
	__be16 given_port;	 /* what its packets bear after translation; 0: not chosen yet */
	__u32 now;
	/* verifier: these are here, and not on the stack, lest it walk each combination of them */
	__u8 forward; /* this packet comes from the initiator */
	__u8 hairpin; /* a pod's connection to itself through a Service */
	__u8 moved;   /* asked a backend by its own name, and was given another port */
	__u8 turned; /* meets this hook again, translated; the pod may pretend that, to its own harm */
	__u8 over; /* this is the connection's last packet */
};

/* verifier: pointers into maps may stand on the stack alone, so this does */
struct tw_conn {
	struct tw_names *names;
	struct tw_ct *ct;    /* the record; NULL: none yet */
	struct tw_ct *alias; /* the alias; NULL: none yet, or no Service */
};

static __always_inline bool end_before(const struct tw_end *a, const struct tw_end *b)
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		if (a->addr[i] != b->addr[i])
			return a->addr[i] < b->addr[i];
	}
	return a->port <= b->port;
}

/* The key of what goes from one end to another; answers whether the source is end 0. */
static __always_inline bool ct_key(struct tw_ct_key *key, const struct tw_end *src,
				   const struct tw_end *dst, __u8 proto)
{
	bool first = end_before(src, dst);

	key->proto = proto;
	end_copy(&key->end[0], first ? src : dst);
	end_copy(&key->end[1], first ? dst : src);
	return first;
}

static __always_inline bool ct_expired(const struct tw_ct *ct, __u8 proto, __u32 now)
{
	__u32 idle = now - ct->seen;

	if (ct->flags & TW_CT_CLOSING)
		return idle > CT_IDLE_CLOSING;
	if (proto == PROTO_TCP)
		return idle > CT_IDLE_TCP;
	return idle > CT_IDLE_UDP;
}

/* A SYN opens a connection anew, unless it repeats the one that is opening or open. */
static __always_inline bool ct_reopens(const struct tw_ct *ct, const struct tw_pkt *pkt,
				       bool forward)
{
	if (pkt->proto != PROTO_TCP || (pkt->tcp & (TCP_SYN | TCP_ACK)) != TCP_SYN)
		return 0;
	return !forward || (ct->flags & TW_CT_CLOSING);
}

/* Note that a packet passed. Writes as little as it can: the entry is shared by all CPUs. */
static __always_inline void ct_touch(const struct tw_pkt *pkt, const struct tw_conn *conn)
{
	struct tw_ct *ct = conn->ct;
	__u8 flags = ct->flags;

	if (!conn->names->forward)
		flags |= TW_CT_REPLIED;
	if (pkt->proto == PROTO_TCP && (pkt->tcp & (TCP_FIN | TCP_RST)))
		flags |= TW_CT_CLOSING;
	if (flags != ct->flags)
		ct->flags = flags;
	if (conn->names->now != ct->seen)
		ct->seen = conn->names->now;
}

/*
 * Spread connections: equal for equal (client, Service), whatever CPU or moment. Multiply and
 * xor-shift after Stafford's mix 13; `skb->hash` will not do, it changes with retransmissions.
 */
static __always_inline __u32 ct_hash(const struct tw_pkt *pkt)
{
	__u64 h = ((__u64)pkt->src.addr[3] << 32) | pkt->dst.addr[3];

	h ^= ((__u64)pkt->src.port << 40) ^ ((__u64)pkt->dst.port << 16) ^ pkt->proto;
	h ^= (__u64)pkt->src.addr[2] * 0x9e3779b97f4a7c15;
	h ^= h >> 30;
	h *= 0xbf58476d1ce4e5b9;
	h ^= h >> 27;
	h *= 0x94d049bb133111eb;
	return (h ^ (h >> 31)) >> 16;
}

/* The record that belongs to the packet's own addresses, or the alias it leads through. */
static __always_inline void ct_find(const struct tw_pkt *pkt, struct tw_conn *conn)
{
	bool first = ct_key(&conn->names->key, &pkt->src, &pkt->dst, pkt->proto);
	struct tw_ct *ct = tw_ct_v1.lookup(&conn->names->key);

	conn->names->now = ct_now();
	conn->names->forward = 1;
	if (!ct || ct_expired(ct, pkt->proto, conn->names->now))
		return;
	conn->names->forward = first == !!(ct->flags & TW_CT_FIRST);
	conn->names->hairpin = !!(ct->flags & TW_CT_HAIRPIN);
	if (ct->flags & TW_CT_ALIAS) {
		conn->names->choice.backend = ct->backend;
		end_copy(&conn->names->choice.to, &ct->peer);
		conn->names->given_port = ct->port;
		conn->alias = ct;
		return;
	}
	if (ct_reopens(ct, pkt, conn->names->forward))
		conn->names->forward = 1;
	else
		conn->ct = ct;
}

/*
 * A pod's own packet to a backend by its address meets the record of a connection from the same
 * port to that backend through a Service. Replies could not be told apart, so this one goes on from
 * another port (as nf_nat does), with an alias beside the record. In the middle of a connection it
 * is too late for that: then the record is an old one, which is taken over.
 */
static __always_inline void ct_beside(const struct tw_pkt *pkt, struct tw_conn *conn)
{
	struct tw_ct *alias;

	if (!conn->ct || !conn->names->forward || conn->names->hairpin || conn->names->turned ||
	    !(conn->ct->flags & TW_CT_NAT))
		return;
	conn->ct = 0;
	conn->names->key.written = 1;
	alias = tw_ct_v1.lookup(&conn->names->key);
	conn->names->key.written = 0;
	if (alias && !ct_expired(alias, pkt->proto, conn->names->now)) {
		conn->names->given_port = alias->port;
		conn->alias = alias;
	} else if (pkt->proto == PROTO_TCP && !(pkt->tcp & TCP_SYN)) {
		return;
	}
	end_copy(&conn->names->choice.to, &pkt->dst);
	conn->names->moved = 1;
}

#define PORT_TRIES 3 /* then the packet is dropped: three others have the name */
#define PORT_FIRST 32768

/*
 * May the connection have the name (client, backend) that pkt bears? Also finds its record, where
 * that is there already. Of another Service with this backend, or asked directly: somebody else's.
 */
static __always_inline bool ct_take_name(const struct tw_pkt *pkt, struct tw_conn *conn)
{
	bool first = ct_key(&conn->names->key, &pkt->src, &pkt->dst, pkt->proto);
	struct tw_ct *ct = tw_ct_v1.lookup(&conn->names->key);

	if (!ct || ct_expired(ct, pkt->proto, conn->names->now))
		return 1;
	if (!(ct->flags & TW_CT_NAT) || ct->port != conn->names->own_port ||
	    !end_equal(&ct->peer, &conn->names->vip))
		return !!(ct->flags & TW_CT_CLOSING);
	if (first == !!(ct->flags & TW_CT_FIRST) && !ct_reopens(ct, pkt, 1))
		conn->ct = ct;
	return 1;
}

/*
 * Give the client the port that the backend sees: its own, unless another connection has it there,
 * or the one it was given before. By hash, like the backend: a lost alias is made again as it was.
 */
static __always_inline int ct_name(struct tw_pkt *pkt, struct tw_conn *conn, __u32 hash)
{
	__be16 given = conn->names->given_port;

	conn->ct = 0;
	if (given)
		pkt->src.port = given;
#pragma unroll
	for (int i = 0; i < PORT_TRIES; i++) {
		/* a name that was given is no longer asked for: this connection is the newer */
		if (ct_take_name(pkt, conn) || given)
			return TW_GO_ON;
		pkt->src.port = be16((__u16)(PORT_FIRST + (hash & (PORT_FIRST - 1))));
		hash >>= 15;
	}
	return TW_DROP_NO_ENTRY;
}

/* Write the record of a new connection: pkt holds its real ends, conn->names->vip what the client wrote. */
static __always_inline int ct_create(const struct tw_pkt *pkt, struct tw_conn *conn, __u32 rev)
{
	struct tw_ct ct = {};

	if (ct_key(&conn->names->key, &pkt->src, &pkt->dst, pkt->proto))
		ct.flags |= TW_CT_FIRST;
	if (conn->names->choice.backend || conn->names->moved) {
		ct.flags |= TW_CT_NAT | (conn->names->hairpin ? TW_CT_HAIRPIN : 0);
		ct.port = conn->names->own_port;
		ct.backend = conn->names->choice.backend;
		end_copy(&ct.peer, &conn->names->vip);
	}
	ct.rev = rev;
	ct.seen = conn->names->now;
	return tw_ct_v1.update(&conn->names->key, &ct) ? TW_DROP_NO_ENTRY : TW_GO_ON;
}

/* Write the alias: from what the client is called outside of hairpins to what it wrote. */
static __always_inline int ct_create_alias(const struct tw_pkt *pkt, const struct tw_conn *conn,
					   __u32 rev)
{
	struct tw_ct_key key = {};
	struct tw_end client = {};
	struct tw_ct ct = {};

	addr_copy(client.addr, conn->names->hairpin ? pkt->dst.addr : pkt->src.addr);
	client.port = conn->names->own_port;
	ct.port = pkt->src.port;
	key.written = conn->names->moved;
	ct.flags = TW_CT_ALIAS | TW_CT_REPLIED | (conn->names->hairpin ? TW_CT_HAIRPIN : 0);
	if (ct_key(&key, &client, &conn->names->vip, pkt->proto))
		ct.flags |= TW_CT_FIRST;
	ct.backend = conn->names->choice.backend;
	end_copy(&ct.peer, &conn->names->choice.to);
	ct.rev = rev;
	ct.seen = conn->names->now;
	return tw_ct_v1.update(&key, &ct) ? TW_DROP_NO_ENTRY : TW_GO_ON;
}

#endif
