/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the running kernel can do, as bits of one 64-bit constant that the loader writes into the
 * program before the verifier sees it. The verifier then knows which branch is dead and never
 * looks at a helper that this kernel lacks: one compiled program serves all kernels.
 */
#ifndef TW_FEATURES_H
#define TW_FEATURES_H

#define TW_HAS_SET_RETVAL (1ULL << 0)	 /* bpf_set_retval in socket-address hooks, 5.18 */
#define TW_HAS_REDIRECT_PEER (1ULL << 1) /* bpf_redirect_peer, 5.10 */
#define TW_HAS_COARSE_CLOCK (1ULL << 2)	 /* bpf_ktime_get_coarse_ns, 5.11 */
#define TW_HAS_NETNS_COOKIE_AT_OPTIONS (1ULL << 3) /* bpf_get_netns_cookie at setsockopt, 5.14 */
#define TW_HAS_NETNS_COOKIE_ON_PACKETS (1ULL << 4) /* bpf_get_netns_cookie in tc programs, 6.15 */

/* bundle.py looks for this very number. */
#define TW_FEATURES_PLACE 0x7477206665617473

static __always_inline __u64 features(void)
{
	__u64 bits;

	/* verifier: an opaque load, so that the compiler cannot fold the placeholder away */
	asm volatile("%0 = 0x7477206665617473 ll" : "=r"(bits));
	return bits;
}

#endif
