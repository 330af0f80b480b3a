// SPDX-License-Identifier: GPL-2.0-or-later
/* The metrics over HTTP; see exporter.h. */
#include "exporter.h"

#include "metrics.h"
#include "util.h"

#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

#define BACKLOG 16
#define CONNECTIONS 16
#define CONNECTION_BYTES 32768 /* of a request, and the answer's head */
#define PATIENCE_S 2 /* with who says nothing, or takes nothing */

struct exporter {
	struct exporter_config config;
	struct MHD_Daemon *http;
};

/* Takes the text, which free() frees. */
static enum MHD_Result answer(struct MHD_Connection *connection,
			      unsigned int status, const char *type, char *text)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	response = text ? MHD_create_response_from_buffer(
				  strlen(text), text, MHD_RESPMEM_MUST_FREE) :
			  NULL;
	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW,
					"GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection,
			      unsigned int status, const char *why)
{
	return answer(connection, status, "text/plain", strdup(why));
}

static enum MHD_Result serve_metrics(const struct exporter *exporter,
				     struct MHD_Connection *connection)
{
	struct stats_snapshot snapshot;
	char *text;

	exporter->config.report(exporter->config.userdata, &snapshot);
	text = metrics_render(&snapshot);
	stats_clear(&snapshot);
	return answer(connection, MHD_HTTP_OK, METRICS_CONTENT_TYPE, text);
}

static enum MHD_Result serve(void *userdata, struct MHD_Connection *connection,
			     const char *url, const char *method,
			     const char *version, const char *data,
			     size_t *data_size, void **state)
{
	static const char *const methods[] = { MHD_HTTP_METHOD_GET,
					       MHD_HTTP_METHOD_HEAD };
	bool is_allowed = false;

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		is_allowed |= strcmp(method, methods[i]) == 0;
	if (!is_allowed)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
			      "read only\n");
	if (strcmp(url, "/metrics") != 0)
		return refuse(connection, MHD_HTTP_NOT_FOUND, "see /metrics\n");
	return serve_metrics(userdata, connection);
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
	exporter->http = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, serve, exporter,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned int)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned int)PATIENCE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_BYTES, MHD_OPTION_END);
	if (!exporter->http) {
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
	MHD_stop_daemon(exporter->http); /* closes the socket, too */
	free(exporter);
	return NULL;
}
