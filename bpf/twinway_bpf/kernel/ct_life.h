/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The life of an entry: when it has expired, what a packet changes in it, and what opens it anew. */
#ifndef TW_CT_LIFE_H
#define TW_CT_LIFE_H

#include "ct_state.h"
#include "idle.h"

static __always_inline bool ct_expired(const struct tw_ct *ct, __u8 proto, __u32 now)
{
	__u32 idle = now - ct->seen;

	if (proto != PROTO_TCP)
		return idle > CT_IDLE_UDP;
	if (ct->flags & TW_CT_FIN_BOTH)
		return idle > CT_IDLE_CLOSED;
	if (ct->flags & TW_CT_CLOSING)
		return idle > CT_IDLE_HALF_CLOSED;
	return idle > (ct->flags & TW_CT_REPLIED ? CT_IDLE_TCP : CT_IDLE_TCP_UNANSWERED);
}

static __always_inline bool is_syn(const struct tw_pkt *pkt)
{
	return pkt->proto == PROTO_TCP && (pkt->tcp & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

/*
 * A SYN opens a connection anew, unless it repeats the one that is being opened or is open. If the connection
 * is half closed, the responder either refuses the SYN or has forgotten the connection. In the second case
 * its SYN-ACK opens it anew.
 */
static __always_inline bool ct_reopens(const struct tw_ct *ct, const struct tw_pkt *pkt,
				       bool forward)
{
	if (!is_syn(pkt))
		return 0;
	return !forward || (ct->flags & (TW_CT_FIN_BOTH | TW_CT_RESET));
}

/*
 * The flags of a connection after a TCP segment. A RST may be forged or out of the window, which is not
 * tracked: it shortens no timeout, and a later segment shows that the receiver ignored it.
 */
static __always_inline __u16 ct_flags_tcp(const struct tw_pkt *pkt, __u16 flags, bool forward)
{
	if (pkt->tcp & TCP_RST)
		return flags | TW_CT_RESET;
	flags &= ~TW_CT_RESET;
	if (!forward && (pkt->tcp & (TCP_SYN | TCP_ACK)) == (TCP_SYN | TCP_ACK))
		flags &= ~(TW_CT_CLOSING | TW_CT_FIN_FIRST | TW_CT_FIN_BOTH);
	if (forward && (flags & TW_CT_REPLIED) && !(pkt->tcp & TCP_SYN))
		flags |= TW_CT_ASSURED;
	return pkt->tcp & TCP_FIN ? flags | TW_CT_CLOSING : flags;
}

/* Record that a packet passed. It writes only what changed, because all CPUs share the entry. */
static __always_inline void ct_touch(const struct tw_pkt *pkt, const struct tw_conn *conn)
{
	struct tw_ct *ct = conn->ct;
	bool forward = conn->names->forward;
	__u16 flags = ct->flags;

	if (!forward)
		flags |= TW_CT_REPLIED;
	if (pkt->proto == PROTO_TCP)
		flags = ct_flags_tcp(pkt, flags, forward);
	else if (forward && (flags & TW_CT_REPLIED))
		flags |= TW_CT_ASSURED;
	if (flags != ct->flags)
		ct->flags = flags;
	if (!(flags & TW_CT_CLOSING) && ct->fin)
		ct->fin = 0;
	if (conn->names->now != ct->seen)
		ct->seen = conn->names->now;
}

#endif
