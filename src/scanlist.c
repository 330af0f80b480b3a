// SPDX-License-Identifier: GPL-2.0-or-later
/* Who is a scanner anyway; see scanlist.h. */
#include "scanlist.h"

#include <stdint.h>
#include <string.h>

/* A part of the text, which isn't ended by a NUL. */
struct part {
	const char *text;
	size_t len;
};

enum kind {
	KIND_COMMAND,
	KIND_CGROUP,
	KIND_UID,
};

struct item {
	enum kind kind;
	struct part value;
};

static bool part_is(const struct part *part, const char *text)
{
	return part->len == strlen(text) &&
	       memcmp(part->text, text, part->len) == 0;
}

/* What is up to the next colon; *@at moves behind that, or becomes NULL. */
static struct part take_part(const char **at)
{
	struct part part = { .text = *at, .len = strcspn(*at, ":") };

	*at = part.text[part.len] ? part.text + part.len + 1 : NULL;
	return part;
}

static struct item take_item(const char **at)
{
	struct item item = { .value = take_part(at) };

	if (part_is(&item.value, "cgroup"))
		item.kind = KIND_CGROUP;
	else if (part_is(&item.value, "uid"))
		item.kind = KIND_UID;
	else
		return item;
	item.value = *at ? take_part(at) : (struct part){ .text = "" };
	return item;
}

/* False: it is no user's number. */
static bool parse_uid(const struct part *part, uid_t *uid)
{
	uint64_t number = 0;

	if (!part->len || part->len > 10)
		return false;
	for (size_t i = 0; i < part->len; i++) {
		if (part->text[i] < '0' || part->text[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(part->text[i] - '0');
	}
	*uid = (uid_t)number;
	return number < UINT32_MAX;
}

static bool item_is_valid(const struct item *item)
{
	uid_t uid;

	switch (item->kind) {
	case KIND_CGROUP:
		return item->value.len && item->value.text[0] == '/';
	case KIND_UID:
		return parse_uid(&item->value, &uid);
	case KIND_COMMAND:
		break;
	}
	return item->value.len &&
	       !memchr(item->value.text, '/', item->value.len);
}

bool scanlist_is_valid(const char *text)
{
	const char *at = text;
	struct item item;

	while (at) {
		item = take_item(&at);
		if (!item_is_valid(&item))
			return false;
	}
	return true;
}

/* The kernel keeps the beginning of a long name alone. */
static bool names_command(const struct part *part, const char *command)
{
	size_t len = part->len < SCANLIST_COMMAND_MAX ? part->len :
							SCANLIST_COMMAND_MAX;

	return strlen(command) == len && memcmp(part->text, command, len) == 0;
}

static bool names_cgroup(struct part part, const char *mountpoint,
			 const char *cgroup)
{
	size_t len = strlen(mountpoint);

	if (part.len > len && memcmp(part.text, mountpoint, len) == 0 &&
	    part.text[len] == '/') {
		part.text += len;
		part.len -= len;
	}
	while (part.len && part.text[part.len - 1] == '/')
		part.len--;
	return strncmp(cgroup, part.text, part.len) == 0 &&
	       (!cgroup[part.len] || cgroup[part.len] == '/');
}

static bool item_names(const struct item *item, const char *mountpoint,
		       const struct scanlist_reader *reader)
{
	uid_t uid;

	switch (item->kind) {
	case KIND_CGROUP:
		return reader->cgroup &&
		       names_cgroup(item->value, mountpoint, reader->cgroup);
	case KIND_UID:
		return parse_uid(&item->value, &uid) && uid == reader->uid;
	case KIND_COMMAND:
		break;
	}
	return names_command(&item->value, reader->command);
}

bool scanlist_names(const char *text, const char *mountpoint,
		    const struct scanlist_reader *reader)
{
	const char *at = text;
	struct item item;

	while (at) {
		item = take_item(&at);
		if (item_names(&item, mountpoint, reader))
			return true;
	}
	return false;
}
