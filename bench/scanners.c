// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What looking for scanners costs an open and its close, of a process that
 * lists nothing, and of one that does, by one worker and by two. Each figure
 * is the least of many short runs: what else the machine does only adds.
 */
#include "scanners.h"

#include "backing.h"
#include "cgroup.h"
#include "inode_place.h"
#include "util.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES 64
#define OPENS 1000
#define RUNS 400
#define CLIENTS_MAX 2

struct desk {
	struct inode_table *table;
	struct inode *files[FILES];
	struct events *events;
	struct books *books;
	struct cgroup_tree *tree;
	struct openers *openers;
	struct scanners *scanners;
};

/* One worker, who serves a process of its own. */
struct worker {
	struct desk *desk;
	pid_t client;
	bool has_listed; /* the directory, before it opens its files */
	uint64_t least_ns;
	pthread_t thread;
};

static void check(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "bench_scanners: %s: %s\n", what, strerror(-r));
		exit(1);
	}
}

static void make_table(struct desk *desk, const char *top)
{
	struct inode_limits limits = { .path_fds = 128, .idle_backings = 128 };
	int dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	char name[16];

	check(dir < 0 ? -errno : 0, top);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%02d", i);
		close(openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	}
	check(inode_table_new(dir, &limits, &backing_hooks, &desk->table), top);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%02d", i);
		check(inode_lookup(desk->table, inode_table_root(desk->table),
				   name, &desk->files[i], &st),
		      name);
		inode_set_place(desk->table, desk->files[i],
				inode_table_root(desk->table), name);
	}
}

static void make_desk(struct desk *desk, const char *top)
{
	struct scanners_config config;

	make_table(desk, top);
	desk->books = books_new();
	check(cgroup_tree_new(&desk->tree), "cgroups");
	check(openers_new(desk->tree, desk->books, &desk->openers), "openers");
	check(events_new(&desk->events), "events");
	config = (struct scanners_config){
		.table = desk->table,
		.events = desk->events,
		.openers = desk->openers,
		.tree = desk->tree,
	};
	check(scanners_new(&config, &desk->scanners), "scanners");
}

static void open_and_close(struct desk *desk, pid_t client, int i)
{
	struct scanners_before before = { 0 };
	struct scanners_open open = {
		.caller = { .tid = client },
		.inode = desk->files[i % FILES],
		.flags = O_RDONLY,
	};
	uint16_t reader;

	scanners_begin_open(desk->scanners, &open);
	reader = scanners_end_open(desk->scanners, &open, 4096, &before);
	scanners_close(desk->scanners, reader);
}

static void open_many(const struct worker *worker)
{
	struct scanners_caller caller = { .tid = worker->client };
	struct desk *desk = worker->desk;

	for (int i = 0; i < OPENS; i++) {
		if (worker->has_listed && i % FILES == 0)
			scanners_open_dir(desk->scanners, &caller,
					  inode_table_root(desk->table));
		open_and_close(desk, worker->client, i * 29);
	}
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	uint64_t begun_ns, ns;

	worker->least_ns = UINT64_MAX;
	for (int run = 0; run < RUNS; run++) {
		open_and_close(worker->desk, worker->client, 0);
		begun_ns = now_ns();
		open_many(worker);
		ns = now_ns() - begun_ns;
		if (ns < worker->least_ns)
			worker->least_ns = ns;
	}
	return NULL;
}

static void measure(struct desk *desk, int clients, bool has_listed)
{
	struct worker workers[CLIENTS_MAX];
	uint64_t ns = 0;

	for (int i = 0; i < clients; i++) {
		pid_t client = fork();

		check(client < 0 ? -errno : 0, "client");
		if (client == 0)
			for (;;)
				pause();
		workers[i] = (struct worker){
			.desk = desk,
			.client = client,
			.has_listed = has_listed,
		};
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (int i = 0; i < clients; i++) {
		pthread_join(workers[i].thread, NULL);
		ns += workers[i].least_ns;
		kill(workers[i].client, SIGKILL);
	}
	printf("%d at a time, %-18s %5.0f ns\n", clients,
	       has_listed ? "who lists:" : "who lists nothing:",
	       (double)ns / clients / OPENS);
}

int main(int argc, char **argv)
{
	struct desk desk;

	if (argc != 2) {
		fputs("usage: bench_scanners EMPTY_DIRECTORY\n", stderr);
		return 2;
	}
	make_desk(&desk, argv[1]);
	for (int clients = 1; clients <= CLIENTS_MAX; clients++)
		for (int has_listed = 0; has_listed < 2; has_listed++)
			measure(&desk, clients, has_listed);
	return 0;
}
