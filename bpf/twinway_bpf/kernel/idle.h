/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Idle timeouts of connections, and their clock. */
#ifndef TW_IDLE_H
#define TW_IDLE_H

#include "net.h"
#include "tw_features.h"

/*
 * Idle times, in units of 2^30 ns (1.07 s): those of nf_conntrack on a node with kube-proxy, rounded.
 * But the first answer to a datagram may take as long as any other: netfilter gives it 30 s, and
 * sockets any time.
 */
#define CT_IDLE_TCP 432000
#define CT_IDLE_TCP_UNANSWERED 112
#define CT_IDLE_HALF_CLOSED 3353
#define CT_IDLE_CLOSED 60 /* as long as a TIME_WAIT */
#define CT_IDLE_UDP 180

/* Now, in those units. A coarse clock suffices, which is read without asking the hardware. */
static __always_inline __u32 ct_now(void)
{
	if (features() & TW_HAS_COARSE_CLOCK)
		return bpf_ktime_get_coarse_ns() >> 30;
	return bpf_ktime_get_ns() >> 30;
}

#endif
