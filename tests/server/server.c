/* A web server for the tests of downloads: files of one folder, with the faults that real
 * servers have. lampad_test_server FOLDER prints its port on the first line, serves
 * 127.0.0.1 until someone asks for /quit or two minutes have passed. The first part of a
 * path may name a fault, the rest is the file: /NAME            the file; Range is
 * understood /cut/NAME        ends the connection in the middle of what is asked for
 *   /norange/NAME    ignores Range
 *   /moved/NAME      a redirect to /NAME
 *   /loop/NAME       a redirect to itself
 *   /local/NAME      a redirect to file:///NAME
 *   /slow/NAME       ten bytes a second
 *   /status/CODE     that status
 *   /count           how many requests came so far, this one included
 *   /last            the Range of the request before, or "none"
 * Knows nothing of Lampad. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIFE_S 120

static const char *root;
static _Atomic int requests;
static char last_range[128] = "none";
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void send_all(int client, const char *data, size_t size) {
  while (size) {
    const ssize_t sent = send(client, data, size, MSG_NOSIGNAL);
    if (sent <= 0) return;
    data += sent;
    size -= (size_t)sent;
  }
}

static void answer(int client, int status, const char *fields, const char *body,
                   size_t size) {
  char head[512];
  const int n =
      snprintf(head, sizeof head,
               "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n",
               status, size, fields);
  send_all(client, head, (size_t)n);
  send_all(client, body, size);
}

static void answer_text(int client, const char *text) {
  answer(client, 200, "", text, strlen(text));
}

static char *read_file(const char *name, size_t *size) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", root, name);
  struct stat info;
  FILE *f = stat(path, &info) == 0 && S_ISREG(info.st_mode) ? fopen(path, "rb") : NULL;
  if (!f) return NULL;
  *size = (size_t)info.st_size;
  char *data = malloc(*size + 1);
  *size = fread(data, 1, *size, f);
  fclose(f);
  return data;
}

static void send_file(int client, const char *fault, const char *name,
                      const char *range) {
  size_t size, start = 0;
  char *data = strstr(name, "..") ? NULL : read_file(name, &size);
  if (!data) {
    answer(client, 404, "", "no such file\n", 13);
    return;
  }
  char head[256];
  if (range && strcmp(fault, "norange") != 0) start = strtoul(range, NULL, 10);
  if (start && start >= size) {
    answer(client, 416, "", "", 0);
    free(data);
    return;
  }
  int n = snprintf(head, sizeof head,
                   "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n",
                   start ? 206 : 200, size - start);
  if (start)
    n += snprintf(head + n, sizeof head - (size_t)n,
                  "Content-Range: bytes %zu-%zu/%zu\r\n", start, size - 1, size);
  n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
  send_all(client, head, (size_t)n);
  size_t left = size - start;
  if ((strcmp(fault, "cut") == 0 && start == 0) || strcmp(fault, "half") == 0) left /= 2;
  if (strcmp(fault, "slow") == 0) {
    for (size_t i = 0; i < left; i++, usleep(100000))
      send_all(client, data + start + i, 1);
  } else {
    send_all(client, data + start, left);
  }
  free(data);
}

/* "/fault/name" -> both; fault is "" for other paths. */
static const char *split(char *path, char *fault, size_t fault_size) {
  static const char *const faults[] = {"cut",  "half",  "norange", "moved",
                                       "loop", "local", "slow",    "status"};
  *fault = '\0';
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
    const size_t n = strlen(faults[i]);
    if (strncmp(path + 1, faults[i], n) != 0 || path[1 + n] != '/') continue;
    snprintf(fault, fault_size, "%s", faults[i]);
    return path + n + 2;
  }
  return path + 1;
}

static void handle(int client, char *path, const char *range) {
  char fault[16], text[1200];
  const char *name = split(path, fault, sizeof fault);
  if (strcmp(path, "/quit") == 0) {
    answer_text(client, "bye");
    exit(0);
  } else if (strcmp(path, "/count") == 0) {
    snprintf(text, sizeof text, "%d", (int)requests);
    answer_text(client, text);
  } else if (strcmp(path, "/last") == 0) {
    answer_text(client, last_range);
  } else if (strcmp(fault, "status") == 0) {
    answer(client, atoi(name), "", "sorry\n", 6);
  } else if (strcmp(fault, "moved") == 0 || strcmp(fault, "loop") == 0 ||
             strcmp(fault, "local") == 0) {
    const char *to = *fault == 'm'                      ? "/"
                     : *fault == 'l' && fault[2] == 'o' ? "/loop/"
                                                        : "file:///";
    snprintf(text, sizeof text, "Location: %s%s\r\n", to, name);
    answer(client, 302, text, "", 0);
  } else {
    snprintf(last_range, sizeof last_range, "%s", range ? range : "none");
    send_file(client, fault, name, range);
  }
}

static void *serve(void *ctx) {
  const int client = (int)(long)ctx;
  char request[4096], path[1024];
  size_t used = 0;
  ssize_t got;
  request[0] = '\0';
  while (!strstr(request, "\r\n\r\n") && used < sizeof request - 1 &&
         (got = recv(client, request + used, sizeof request - 1 - used, 0)) > 0) {
    used += (size_t)got;
    request[used] = '\0';
  }
  if (sscanf(request, "GET %1000s", path) == 1) {
    char *range = strstr(request, "Range: bytes=");
    if (range) {
      range += strlen("Range: bytes=");
      range[strcspn(range, "\r\n")] = '\0';
    }
    requests++;
    if (strncmp(path, "/slow/", 6) == 0) {
      handle(client, path, range);
    } else {
      pthread_mutex_lock(&lock);
      handle(client, path, range);
      pthread_mutex_unlock(&lock);
    }
  }
  shutdown(client, SHUT_WR);
  while (recv(client, request, sizeof request, 0) > 0) {
  }
  close(client);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  root = argv[1];
  signal(SIGPIPE, SIG_IGN);
  alarm(LIFE_S);
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (server < 0 || bind(server, (struct sockaddr *)&address, size) != 0 ||
      listen(server, 16) != 0 ||
      getsockname(server, (struct sockaddr *)&address, &size) != 0)
    return 1;
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    const int client = accept(server, NULL, NULL);
    if (client < 0) continue;
    pthread_t thread;
    if (pthread_create(&thread, NULL, serve, (void *)(long)client) != 0)
      close(client);
    else
      pthread_detach(thread);
  }
}
