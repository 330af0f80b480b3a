// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The FUSE front end: virtual extended attributes, which tell of a file what
 * memcgfs knows, and are in no list, so that no copy carries them. The
 * client's kernel checks that who asks may read the file, and that who sets
 * one may write it.
 */
#include "fuse_priv.h"

#include "inode_place.h"
#include "util.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#define PREFIX "user.memcgfs."
#define CLAIM PREFIX "claim"
#define VALUE_MAX (INODE_PATH_MAX + 64)

/* The root, which has no name, has the mount's own rule. */
static int explain(struct fuse_front *front, struct inode *inode,
		   struct rulebook_answer *answer)
{
	int r;

	r = rulebook_explain(front->book, inode, answer);
	if (r != -ENOENT)
		return r;
	*answer = (struct rulebook_answer){
		.binding = rulebook_fallback(front->book),
	};
	return 0;
}

static int get_target(struct fuse_front *front, struct inode *inode,
		      char value[VALUE_MAX])
{
	struct rulebook_answer answer;
	int r;

	r = explain(front, inode, &answer);
	if (r < 0)
		return r;
	snprintf(value, VALUE_MAX, "%s",
		 answer.binding->host ? host_target(answer.binding->host) :
					"@opener");
	decision_unref(answer.decision);
	return 0;
}

static int get_host(struct fuse_front *front, struct inode *inode,
		    char value[VALUE_MAX])
{
	struct rulebook_answer answer;
	int r;

	r = explain(front, inode, &answer);
	if (r < 0)
		return r;
	if (answer.binding->host)
		snprintf(value, VALUE_MAX, "%s",
			 host_path(answer.binding->host));
	else
		r = -ENODATA;
	decision_unref(answer.decision);
	return r;
}

/* Where the target is said: "sub/.memcgfs:3", or "mount". */
static int get_rule(struct fuse_front *front, struct inode *inode,
		    char value[VALUE_MAX])
{
	const struct decision_source *source = NULL;
	struct rulebook_answer answer;
	int r;

	r = explain(front, inode, &answer);
	if (r < 0)
		return r;
	if (answer.decision)
		source = &answer.decision->sources[RULES_MEMCG];
	if (source && source->rules)
		snprintf(value, VALUE_MAX, "%s:%u", rules_name(source->rules),
			 source->line);
	else
		strcpy(value, "mount");
	decision_unref(answer.decision);
	return 0;
}

static int look(struct fuse_front *front, struct inode *inode,
		struct charge_view *view)
{
	struct rulebook_answer answer;
	int r;

	r = explain(front, inode, &answer);
	if (r < 0)
		return r;
	r = charge_look(front->charge, inode, answer.binding, view);
	decision_unref(answer.decision);
	return r;
}

static int show_bytes(int64_t bytes, char value[VALUE_MAX])
{
	if (bytes < 0)
		return -ENODATA;
	snprintf(value, VALUE_MAX, "%" PRId64, bytes);
	return 0;
}

static int get_resident(struct fuse_front *front, struct inode *inode,
			char value[VALUE_MAX])
{
	struct charge_view view;
	int r;

	r = look(front, inode, &view);
	return r < 0 ? r : show_bytes(view.resident_bytes, value);
}

static int get_foreign(struct fuse_front *front, struct inode *inode,
		       char value[VALUE_MAX])
{
	struct charge_view view;
	int r;

	r = look(front, inode, &view);
	return r < 0 ? r : show_bytes(view.foreign_bytes, value);
}

/* A line of the list; false: there is no room for it. */
static bool add_line(char value[VALUE_MAX], size_t *len, const char *text)
{
	if (*len + strlen(text) + 2 > VALUE_MAX)
		return false;
	*len += (size_t)sprintf(value + *len, "%s%s", *len ? "\n" : "", text);
	return true;
}

/* A line for each; what there is no room for goes unsaid. */
static int get_sharers(struct fuse_front *front, struct inode *inode,
		       char value[VALUE_MAX])
{
	struct charge_entry entry;
	size_t len = 0;
	int r;

	r = charge_read_entry(front->charge, inode, &entry);
	if (r < 0)
		return r;
	for (size_t i = 0; i < entry.n_sharers; i++)
		if (!add_line(value, &len, account_path(entry.sharers[i])))
			break;
	if (entry.has_more_sharers)
		add_line(value, &len, CONTRIBUTORS_OTHERS);
	charge_entry_clear(&entry);
	return len ? 0 : -ENODATA;
}

static const struct attribute {
	const char *name;
	bool of_pages; /* of regular files; it may take a charger to look */
	int (*get)(struct fuse_front *front, struct inode *inode,
		   char value[VALUE_MAX]);
} attributes[] = {
	{ PREFIX "target", false, get_target },
	{ PREFIX "host", false, get_host },
	{ PREFIX "rule", false, get_rule },
	{ PREFIX "resident", true, get_resident },
	{ PREFIX "foreign", true, get_foreign },
	{ PREFIX "sharers", true, get_sharers },
};

static const struct attribute *find_attribute(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++)
		if (strcmp(attributes[i].name, name) == 0)
			return &attributes[i];
	return NULL;
}

static void run_get(struct fuse_front *front, struct job *job)
{
	const struct attribute *attribute = find_attribute(job->payload);
	char value[VALUE_MAX];
	size_t len;
	int r;

	r = attribute->get(front, job->inode, value);
	len = r < 0 ? 0 : strlen(value);
	if (r < 0)
		fuse_reply_err(job->req, -r);
	else if (!job->io.size)
		fuse_reply_xattr(job->req, len);
	else if (job->io.size < len)
		fuse_reply_err(job->req, ERANGE);
	else
		fuse_reply_buf(job->req, value, len);
}

bool xattr_is_virtual(const char *name)
{
	return strncmp(name, PREFIX, strlen(PREFIX)) == 0;
}

void xattr_get_virtual(fuse_req_t req, fuse_ino_t ino, const char *name,
		       size_t size)
{
	const struct attribute *attribute = find_attribute(name);
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.run = run_get,
		.payload = name,
		.payload_size = strlen(name) + 1,
		.io = { .size = size },
	};

	if (!attribute || (attribute->of_pages && !S_ISREG(job.inode->type)))
		fuse_reply_err(req, ENODATA);
	else if (attribute->of_pages)
		front_dispatch(&job);
	else
		run_get(front_of(req), &job);
}

static void run_claim(struct fuse_front *front, struct job *job)
{
	int64_t r;

	rulebook_refresh(front->book, job->inode);
	r = charge_move(front->charge, job->inode);
	/* What can't be moved now is told by the attribute "foreign". */
	fuse_reply_err(job->req, r < 0 ? (int)-r : 0);
}

void xattr_set_virtual(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct fuse_front *front = front_of(req);
	uid_t uid = fuse_req_ctx(req)->uid;
	struct job job = {
		.req = req,
		.inode = front_inode(front, ino),
		.run = run_claim,
	};

	if (strcmp(name, CLAIM) != 0 || !S_ISREG(job.inode->type))
		fuse_reply_err(req, EOPNOTSUPP);
	else if (uid && uid != geteuid())
		fuse_reply_err(req, EPERM);
	else
		front_dispatch(&job);
}
