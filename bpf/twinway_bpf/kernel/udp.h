/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Packets that no connection table knows, of any protocol but TCP: every peer of a pod's port (or
 * echo identifier) counts for itself. Where only one direction is open, who spoke first is
 * remembered, and nothing else.
 */
#ifndef TW_UDP_H
#define TW_UDP_H

#include "idle.h"
#include "judge.h"

/*
 * (pod's end, peer) -> who spoke first. Written and read here. Missing: nobody.
 * Full: the least recently used goes, and its next answer is denied, as if it came too late.
 */
BPF_TABLE("lru_hash", struct tw_udp_key, struct tw_udp, tw_udp_v3, 16384);

static __always_inline void udp_key(struct tw_udp_key *key, const struct tw_view *view, __u8 proto)
{
	end_copy(&key->local, view->local);
	end_copy(&key->remote, view->remote);
	key->proto = proto;
}

static __always_inline void udp_remember(const struct tw_view *view, __u8 proto, __u8 flag)
{
	struct tw_udp_key key = {};
	struct tw_udp *found, fresh = {};

	udp_key(&key, view, proto);
	found = tw_udp_v3.lookup(&key);
	if (found && (found->flags & flag)) {
		found->seen = ct_now();
		return;
	}
	fresh.seen = ct_now();
	fresh.flags = flag;
	tw_udp_v3.update(&key, &fresh);
}

static __always_inline bool udp_answers(const struct tw_view *view, __u8 proto, __u8 flag)
{
	struct tw_udp_key key = {};
	struct tw_udp *found;
	__u32 now = ct_now();

	udp_key(&key, view, proto);
	found = tw_udp_v3.lookup(&key);
	if (!found || !(found->flags & flag) || now - found->seen > CT_IDLE_UDP)
		return 0;
	/* a stream may come from one side alone once it was asked for */
	if (found->seen != now)
		found->seen = now;
	return 1;
}

static __always_inline int udp_check(const struct tw_view *view, __u8 proto, bool out)
{
	__u64 rule = 0, other_rule = 0;
	__u8 mine = judge(view, proto, out, &rule);
	__u8 other = judge(view, proto, !out, &other_rule);

	if (mine == TW_ALLOW) {
		if (other != TW_ALLOW)
			udp_remember(view, proto, out ? TW_UDP_SENT : TW_UDP_RECEIVED);
		return TW_GO_ON;
	}
	if (other == TW_ALLOW && udp_answers(view, proto, out ? TW_UDP_RECEIVED : TW_UDP_SENT))
		return TW_GO_ON;
	return judged(view, mine, rule, out);
}

#endif
