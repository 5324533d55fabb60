/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The connection table. A connection through a Service has two entries:
 *
 *     record  (client, backend) -> (client, Service)     found by replies, and by translated packets
 *     alias   (client, Service) -> (client, backend)     found by packets of the client
 *
 * The client's end differs between the two if its source is translated. Each entry lets the other be made
 * again. A packet of the client writes a record that was evicted. Without an alias it finds the same backend,
 * because the choice is a hash of the connection over a sorted set. So an eviction costs a look-up, not a
 * connection. Both entries are renewed together, once in a unit of time. In between, the alias answers for
 * its record.
 */
#ifndef TW_CONNTRACK_H
#define TW_CONNTRACK_H

#include "ct_name.h"
#include "ct_write.h"

/* Look up the entry that the packet's ends lead to: a record or an alias. */
static __always_inline void ct_find(const struct tw_pkt *pkt, struct tw_conn *conn)
{
	bool first = ct_key(&conn->names->key, &pkt->src, &pkt->dst, pkt->proto);
	struct tw_ct *ct = tw_ct_v3.lookup(&conn->names->key);

	conn->names->now = ct_now();
	conn->names->forward = 1;
	if (!ct || ct_expired(ct, pkt->proto, conn->names->now))
		return;
	conn->names->forward = first == !!(ct->flags & TW_CT_FIRST);
	conn->names->hairpin = !!(ct->flags & TW_CT_HAIRPIN);
	if (ct->flags & TW_CT_ALIAS) {
		conn->names->choice.backend = ct->backend;
		conn->alias = ct;
		return;
	}
	if (ct_reopens(ct, pkt, conn->names->forward))
		conn->names->forward = 1;
	else
		conn->ct = ct;
}

#endif
