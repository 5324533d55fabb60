/* SPDX-License-Identifier: Apache-2.0 */
/* What the plugin reads out of bytes that others wrote. Pure: no I/O, nothing allocated. */
#ifndef TWINWAY_PARSE_H
#define TWINWAY_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#define VERSION_SIZE 16 /* bytes of a CNI version with its end, "1.1.0" */

/* An agent's answer: `<exit status>\n<stdout>`. `body` points into the answer. */
struct answer {
	int status;
	const char *body;
	size_t body_size;
};

/* Copy the config's "cniVersion" to `version`, if there is one that looks like a version. */
bool parse_version(const char *json, size_t size, char version[VERSION_SIZE]);

/* Take an answer apart; false where it is none. */
bool parse_answer(const char *bytes, size_t size, struct answer *answer);

/* Whether a container's id may be used as the name of a file. */
bool container_id_is_safe(const char *id);

/* Write `text` to `out` as the inside of a JSON string; cut, never overrun, always ended. */
void json_escape(const char *text, char *out, size_t out_size);

#endif
