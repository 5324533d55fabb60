/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Options that would let a pod's frames leave past the programs at its device (ADR 0019). Where a pod's
 * device has no host side, those programs stand at its egress in the pod's own namespace, and two kinds
 * of socket, which need no more than CAP_NET_RAW, hand frames to the driver without asking tc egress:
 * a packet socket with PACKET_QDISC_BYPASS, and an AF_XDP socket that sends.
 *
 * Only the level is read of a call that does not concern us; the value of an option is never touched.
 */
#include "tw_features.h"
#include "tw_maps.h"

#define SOL_PACKET 263
#define PACKET_QDISC_BYPASS 20
#define SOL_XDP 283
#define XDP_TX_RING 3

/* Longer values are not copied for programs, and the kernel fails the call unless told to go on with its own. */
#define COPIED_AT_MOST 4096

#define OPT_REFUSE 0 /* EPERM */
#define OPT_GO_ON 1

/* Where the kernel does not tell the host's sockets from pods', all are taken for a pod's. */
static __always_inline bool opt_is_hosts(struct bpf_sockopt *ctx)
{
	struct tw_cfg *cfg;

	if (!(features() & TW_HAS_NETNS_COOKIE_AT_OPTIONS))
		return 0;
	cfg = cfg_get();
	return cfg && bpf_get_netns_cookie(ctx) == cfg->host_netns;
}

int tw_setsockopt(struct bpf_sockopt *ctx)
{
	int level = ctx->level;

	if (ctx->optlen > COPIED_AT_MOST)
		ctx->optlen = 0;
	if (level == SOL_PACKET) {
		/* -1: the call succeeds and the kernel never hears of it: frames take the way of all others */
		if (ctx->optname == PACKET_QDISC_BYPASS && !opt_is_hosts(ctx))
			ctx->optlen = -1;
		return OPT_GO_ON;
	}
	if (level == SOL_XDP && ctx->optname == XDP_TX_RING && !opt_is_hosts(ctx))
		return OPT_REFUSE;
	return OPT_GO_ON;
}
