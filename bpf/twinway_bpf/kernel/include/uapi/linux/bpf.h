/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Included by the prelude of BCC, which brings the contents itself. */
#ifndef _UAPI_LINUX_BPF_H
#define _UAPI_LINUX_BPF_H
#endif
