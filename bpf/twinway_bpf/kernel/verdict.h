/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The reasons that packets and socket calls end with, and the one place that counts them. */
#ifndef TW_VERDICT_H
#define TW_VERDICT_H

#include "net.h"
#include "tw_maps.h"

/* Stages return 0 to go on, or a reason to end with. layout.py has the same names. */
enum tw_reason {
	TW_GO_ON = 0,

	/* passed */
	TW_PASS_NOT_IP = 1,    /* ARP and the like */
	TW_PASS_NEIGHBOUR = 2, /* ICMPv6 neighbour and router discovery, multicast listeners */
	TW_PASS_FRAGMENT = 3,  /* a fragment that neither a Service nor a policy concerns */
	TW_PASS_STACK = 4,     /* left to the stack of the namespace it is in */
	TW_PASS_PEER = 5,      /* straight into the pod that it is for */
	TW_PASS_OUT = 6,       /* straight out of the device that leads to it */
	TW_PASS_FOREIGN = 7,   /* not from or to a pod of this node */
	TW_PASS_REDIRECTED =
		8,	      /* decided before, and redirected to its own device by this program */
	TW_SOCKET_SERVED = 9, /* a socket call that was given a backend */
	TW_SOCKET_PASSED = 10, /* a socket call to something else */

	/* answered */
	TW_REJECT_NO_BACKEND = 16, /* a Service without endpoints */
	TW_REJECT_NO_PORT = 17,	   /* a port that no Service at this address has */
	TW_REJECT_TAKEN = 18,	/* a socket's backend, whose answer it awaits under another name */
	TW_REJECT_NO_ROOM = 19, /* what a socket is given could not be noted on it */

	/* dropped in silence */
	TW_DROP_SHORT = 32,    /* truncated or malformed */
	TW_DROP_FRAGMENT = 33, /* a fragment that would need its ports to be judged */
	TW_DROP_SPOOFED = 34,  /* a source that is no pod's of this node */
	TW_DROP_POLICY_INGRESS = 35,
	TW_DROP_POLICY_EGRESS = 36,
	TW_DROP_SERVICE_OTHER =
		37,	      /* to a Service's address, of a protocol that Services have not */
	TW_DROP_REWRITE = 38, /* the packet could not be rewritten */
	TW_DROP_NO_ENTRY =
		39,	   /* a table that is never empty was, or the connection table refused */
	TW_DROP_RACE = 40, /* the backend set was replaced twice during one packet */
	TW_DROP_NOT_IP =
		41, /* neither IP nor ARP, or behind a tag, from or to a pod under a policy */
	TW_DROP_PROBE =
		42, /* the agent's own frame, which has met the programs of a pod's device */
	TW_DROP_NOT_LOCAL =
		43, /* a Service that only backends of this node may answer, and they are elsewhere */

	TW_REASONS = 64,
};

#define TW_FIRST_ANSWERED 16
#define TW_FIRST_DROPPED 32

static __always_inline void verdict_count(__u32 reason)
{
	__u64 *count = tw_count_v1.lookup(&reason);

	if (count)
		*count += 1;
}

/* Attribute a denial to the rule that made it, and to the pod that is under that rule. */
static __always_inline void verdict_denied(__u64 rule, const __be32 *pod, __u8 direction)
{
	struct tw_denied_key key = {};
	__u64 one = 1;
	__u64 *count;

	key.rule = rule;
	key.direction = direction;
	addr_copy(key.pod, pod);
	count = tw_denied_v2.lookup(&key);
	if (count)
		*count += 1;
	else
		tw_denied_v2.update(&key, &one);
}

#endif
