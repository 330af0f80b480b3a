// SPDX-License-Identifier: GPL-2.0-or-later
/* The metrics over HTTP; see exporter.h. */
#include "exporter.h"

#include "metrics.h"
#include "util.h"

#include <string.h>
#include <sys/socket.h>

#define BACKLOG 16
#define CONNECTIONS 16
#define CONNECTION_BYTES 32768 /* of a request, and the answer's head */
#define PATIENCE_S 2 /* with who says nothing, or takes nothing */

struct exporter {
	struct exporter_config config;
	struct MHD_Daemon *daemon;
};

/* What is answered. */
struct page {
	unsigned int status;
	const char *type;
	char *text; /* the library's, which frees it */
};

static enum MHD_Result answer(const struct httpd *httpd,
			      struct MHD_Connection *connection,
			      const struct page *page)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	response = page->text ? httpd->create_response(strlen(page->text),
						       page->text,
						       MHD_RESPMEM_MUST_FREE) :
				NULL;
	if (!response) {
		free(page->text);
		return MHD_NO;
	}
	httpd->add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
				   page->type);
	if (page->status == MHD_HTTP_METHOD_NOT_ALLOWED)
		httpd->add_response_header(response, MHD_HTTP_HEADER_ALLOW,
					   "GET, HEAD");
	result = httpd->queue_response(connection, page->status, response);
	httpd->destroy_response(response);
	return result;
}

static struct page refusal(unsigned int status, const char *why)
{
	return (struct page){
		.status = status,
		.type = "text/plain",
		.text = strdup(why),
	};
}

static struct page metrics_of(const struct exporter *exporter)
{
	struct page page = {
		.status = MHD_HTTP_OK,
		.type = METRICS_CONTENT_TYPE,
	};
	struct stats_snapshot snapshot;

	exporter->config.report(exporter->config.userdata, &snapshot);
	page.text = metrics_render(&snapshot);
	stats_clear(&snapshot);
	return page;
}

static struct page page_of(const struct exporter *exporter, const char *url,
			   const char *method)
{
	static const char *const methods[] = { MHD_HTTP_METHOD_GET,
					       MHD_HTTP_METHOD_HEAD };
	bool is_allowed = false;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		is_allowed |= strcmp(method, methods[i]) == 0;
	if (!is_allowed)
		return refusal(MHD_HTTP_METHOD_NOT_ALLOWED, "read only\n");
	if (strcmp(url, "/metrics") != 0)
		return refusal(MHD_HTTP_NOT_FOUND, "see /metrics\n");
	return metrics_of(exporter);
}

static enum MHD_Result serve(void *userdata, struct MHD_Connection *connection,
			     const char *url, const char *method,
			     const char *version, const char *data,
			     size_t *data_size, void **state)
{
	const struct exporter *exporter = userdata;
	struct page page = page_of(exporter, url, method);

	return answer(exporter->config.httpd, connection, &page);
}

int exporter_new(const struct exporter_config *config, int fd,
		 struct exporter **out)
{
	cleanup_close int owned = fd;
	struct exporter *exporter;

	if (listen(fd, BACKLOG) < 0)
		return -errno;
	exporter = calloc(1, sizeof(*exporter));
	if (!exporter)
		return -ENOMEM;
	exporter->config = *config;
	/* By epoll, as there may be more fds than select(2) knows. */
	errno = 0;
	exporter->daemon = config->httpd->start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, serve, exporter,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned int)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned int)PATIENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_BYTES, MHD_OPTION_END);
	if (!exporter->daemon) {
		int r = errno ? -errno : -EIO;

		free(exporter);
		return r;
	}
	steal_fd(&owned);
	*out = exporter;
	return 0;
}

struct exporter *exporter_free(struct exporter *exporter)
{
	if (!exporter)
		return NULL;
	/* Closes the socket, too. */
	exporter->config.httpd->stop_daemon(exporter->daemon);
	free(exporter);
	return NULL;
}
