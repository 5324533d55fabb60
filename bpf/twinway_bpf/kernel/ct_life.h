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
 * A SYN opens a connection anew, unless it repeats the one that is opening or open. While that is
 * half closed, its other end refuses the SYN, or has forgotten: then its SYN-ACK opens it anew.
 */
static __always_inline bool ct_reopens(const struct tw_ct *ct, const struct tw_pkt *pkt,
				       bool forward)
{
	if (!is_syn(pkt))
		return 0;
	return !forward || (ct->flags & (TW_CT_FIN_BOTH | TW_CT_RESET));
}

/*
 * What a TCP segment says of its connection. A RST may be forged, or out of its window, which we do
 * not know: it shortens nothing, and what is sent after it says that it was not obeyed.
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

/* Note that a packet passed. Writes as little as it can: the entry is shared by all CPUs. */
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
