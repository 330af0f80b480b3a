/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the control socket share. */
#ifndef MEMCGFS_CONTROL_PRIV_H
#define MEMCGFS_CONTROL_PRIV_H

#include "control.h"
#include "creds.h"

#include <jansson.h>
#include <stdatomic.h>

#define CONTROL_GROUPS_MAX 256
#define CONTROL_REQUEST_MAX 16384 /* bytes of a line */
#define CONTROL_SHOWN_MAX 10000 /* entries of a list in an answer */
/* Why pages are another's that nothing keeps. */
#define CONTROL_UNCLAIMED "not claimed yet"

/* A request, and who makes it. */
struct control_request {
	const struct control_config *config;
	struct caller caller;
	gid_t groups[CONTROL_GROUPS_MAX];
	bool is_master; /* root, or the mount's owner */
	int fd; /* the client's */
	atomic_uint *long_works; /* being done for all who are like him */
	const json_t *asked; /* an object */
	const char *path; /* within the mount, or NULL */
	bool streams; /* the client wants to know how far it is */
	bool is_gone; /* and takes nothing any more */
	uint64_t skipped; /* files that couldn't be looked at */
	uint64_t progress_ns; /* when he was told last */
	json_t *answer; /* an object, to be filled */
	char reason[RULEFILE_REASON_MAX]; /* of a failure, if there is more to
					     say of it than its errno */
};

struct control_verb {
	const char *name;
	const char *masters_may; /* NULL: everybody may */
	bool needs_path;
	bool is_long; /* so few at a time */
	/* 0, or -errno. */
	int (*run)(struct control_request *request);
};

/* The verb of that name, or NULL. */
const struct control_verb *control_find_verb(const char *name);

/*
 * Does what a line asks for, and sets the answer, or why there is none: the
 * request comes with who asks, and an empty answer.
 */
void control_answer(struct control_request *request, const char *line,
		    size_t size);

/* The answer is that it can't be had. */
void control_refuse(struct control_request *request, int r);

/* With a reason: returns @r. */
int control_explain(struct control_request *request, int r, const char *fmt,
		    ...) __attribute__((format(printf, 3, 4)));

/*
 * Sends a line, with the version. -EPIPE: the client has left, or doesn't
 * take it in time.
 */
int control_send(struct control_request *request, json_t *line);

/* Whether the client has left, or is to be cut off: the work is to end. */
bool control_is_left(struct control_request *request);

/*
 * Tells how far the work is, now and then, if the client wants to know.
 * -EPIPE: he has left, and the work is to end.
 */
int control_progress(struct control_request *request, uint64_t done,
		     uint64_t total, const char *unit);

/*
 * Whether the caller may have such access to what is there, by the rules of
 * the filesystem below: his rights are taken on for a moment. Root may ask
 * whoever has mounted, who then answers by his own.
 */
int control_check_access(const struct control_request *request,
			 struct inode *inode, int mode);

/*
 * The inode at the path, with one lookup more, if the caller may search all
 * directories on the way and read it.
 */
int control_find_inode(const struct control_request *request, const char *path,
		       struct inode **out);

/* Which files of the table are gone through. */
struct control_walk {
	bool is_booked; /* those alone that the books have something of */
	/* For each that the caller may read; a negative result ends it. */
	int (*each)(void *userdata, struct inode *inode);
	void *userdata;
};

/*
 * Goes through the known files at, or below, the request's path, or all of
 * them, and tells how far it is. -EPIPE: the client has left.
 */
int control_walk(struct control_request *request,
		 const struct control_walk *walk);

/* What is foreign of files, and by whom it is mapped. */
struct residue {
	struct control_request *request;
	json_t *array;
	uint64_t count; /* so many there are; the array has the first ones */
	struct mappers *mappers; /* looked at when they are needed */
	bool has_looked;
};

void residue_init(struct residue *residue, struct control_request *request);

/* Adds what a probe has found, and gives its bytes. */
uint64_t residue_add(struct residue *residue, struct inode *inode,
		     const struct charge_probe *probe);

/* Puts it into the answer; or, after a failure, nowhere. */
void residue_finish(struct residue *residue);
void residue_discard(struct residue *residue);

/* The inode's path as a string; and the name of an owner of pages. */
json_t *control_show_place(const struct control_request *request,
			   struct inode *inode);
json_t *control_show_owner(const struct control_request *request,
			   uint64_t owner_ino);

/* What a failure to look at one file means for the whole. 0: it's left out. */
int control_skip(struct control_request *request, int r);

/* The verbs, each in its file control_*.c. */
int control_run_files(struct control_request *request);
int control_run_verify(struct control_request *request);
int control_run_claim(struct control_request *request);
int control_run_drop(struct control_request *request);
int control_run_events(struct control_request *request);
int control_run_tree(struct control_request *request);

/* What is known of a process, and why it is a scanner or isn't. */
int control_explain_process(struct control_request *request, json_int_t pid);

#endif
