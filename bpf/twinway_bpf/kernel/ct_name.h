/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The name of a connection: the two ends that its responder sees. Two connections cannot have one name,
 * because replies could not be distinguished: the later one is given another port, as nf_nat does.
 */
#ifndef TW_CT_NAME_H
#define TW_CT_NAME_H

#include "ct_life.h"

/*
 * A pod asks a backend by its own address, from a port that has a connection to the same backend through a
 * Service. Replies of the two could not be distinguished, so this connection gets another port, and an alias
 * beside the record. If the packet does not open a connection, it is too late for that: the record is stale
 * then, and is taken over.
 */
static __always_inline void ct_beside(const struct tw_pkt *pkt, struct tw_conn *conn)
{
	struct tw_ct *alias;

	if (!conn->ct || !conn->names->forward || conn->names->hairpin || conn->names->redirected ||
	    !(conn->ct->flags & TW_CT_NAT))
		return;
	conn->ct = 0;
	conn->names->key.written = 1;
	alias = tw_ct_v3.lookup(&conn->names->key);
	conn->names->key.written = 0;
	if (alias && !ct_expired(alias, pkt->proto, conn->names->now)) {
		end_copy(&conn->names->given, &alias->client);
		conn->alias = alias;
	} else if (pkt->proto == PROTO_TCP && !(pkt->tcp & TCP_SYN)) {
		return;
	}
	end_copy(&conn->names->choice.to, &pkt->dst);
	conn->names->moved = 1;
}

#define PORT_TRIES 3 /* then the packet is dropped */
#define PORT_FIRST 32768

/* May another connection take this name? Not while this one is half closed, or may have survived a RST. */
static __always_inline bool ct_gives_name(const struct tw_ct *ct, __u32 now)
{
	if (ct->flags & TW_CT_FIN_BOTH)
		return 1;
	return (ct->flags & TW_CT_RESET) && now - ct->seen > CT_IDLE_CLOSED;
}

/*
 * May the connection have the name (client, backend) that pkt bears? Also finds its record, if there is one.
 * A record with other original ends belongs to another connection.
 */
static __always_inline bool ct_take_name(const struct tw_pkt *pkt, struct tw_conn *conn)
{
	bool first = ct_key(&conn->names->key, &pkt->src, &pkt->dst, pkt->proto);
	struct tw_ct *ct = tw_ct_v3.lookup(&conn->names->key);

	if (!ct || ct_expired(ct, pkt->proto, conn->names->now))
		return 1;
	if (!(ct->flags & TW_CT_NAT) || !end_equal(&ct->client, &conn->names->client) ||
	    !end_equal(&ct->peer, &conn->names->vip))
		return ct_gives_name(ct, conn->names->now);
	if (first == !!(ct->flags & TW_CT_FIRST) && !ct_reopens(ct, pkt, 1))
		conn->ct = ct;
	return 1;
}

/*
 * Choose the client's port that the backend sees: the one that the client was given before, else its own
 * port, else a free one. The choice is a hash, like that of the backend, so that a lost alias is made again
 * as it was.
 */
static __always_inline int ct_name(struct tw_pkt *pkt, struct tw_conn *conn, __u32 hash)
{
	bool given = conn->names->given.port;

	conn->ct = 0;
#pragma unroll
	for (int i = 0; i < PORT_TRIES; i++) {
		/* a port that was given before is kept: this connection is the newer one */
		if (ct_take_name(pkt, conn) || given)
			return TW_GO_ON;
		pkt->src.port = be16((__u16)(PORT_FIRST + (hash & (PORT_FIRST - 1))));
		hash >>= 15;
	}
	return TW_DROP_NO_ENTRY;
}

#endif
