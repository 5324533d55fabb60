/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Prevents socket options that would let a pod's frames bypass the programs at its device (ADR 0019). If a
 * pod's device has no host side, these programs are at its egress in the pod's own namespace. Two kinds of
 * socket, which need no more than CAP_NET_RAW, hand frames to the driver without tc egress: a packet socket
 * with PACKET_QDISC_BYPASS, and an AF_XDP socket that sends.
 *
 * Of other calls only the level is read, and values of options are never changed.
 */
#include "tw_features.h"
#include "tw_maps.h"

#define SOL_PACKET 263
#define PACKET_QDISC_BYPASS 20
#define SOL_XDP 283
#define XDP_TX_RING 3

/* Longer values are not copied for programs: unless optlen is set to 0, the kernel fails the call. */
#define COPIED_AT_MOST 4096

#define OPT_REFUSE 0 /* EPERM */
#define OPT_GO_ON 1

/* If the kernel cannot distinguish the host's sockets from pods', all count as pods'. */
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
		/* -1: the call succeeds without effect, and frames go through tc egress like all others */
		if (ctx->optname == PACKET_QDISC_BYPASS && !opt_is_hosts(ctx))
			ctx->optlen = -1;
		return OPT_GO_ON;
	}
	if (level == SOL_XDP && ctx->optname == XDP_TX_RING && !opt_is_hosts(ctx))
		return OPT_REFUSE;
	return OPT_GO_ON;
}
