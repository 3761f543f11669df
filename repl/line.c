/* Line editing (line.h). The callback interface of readline leaves the waiting to us, so Ctrl-C works
 * the same with readline and libedit: poll() returns EINTR and the line is dropped. */
#include "line.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef LAMPAD_USE_LIBEDIT
#include <editline/readline.h>
#else
#include <readline/history.h>
#include <readline/readline.h>
#endif
#include "interrupt.h"

#define HISTORY_ENTRIES 10000

static LineHost host;
static char *history_path;
static bool terminal;
static char *entered; /* the line that the callback received */
static bool finished;

bool line_is_terminal(void) { return terminal; }

bool line_is_multiline(void) {
#ifdef LAMPAD_USE_LIBEDIT
  return false;
#else
  return terminal;
#endif
}

/* --- history -------------------------------------------------------------------------------- */

/* Creates the folders above the path, readable by the user alone. */
static void make_folders(const char *path) {
  char *copy = strdup(path);
  if (!copy) return;
  for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(copy, 0700);
    *slash = '/';
  }
  free(copy);
}

/* Opens or creates the file with mode 0600; false when it cannot be written. */
static bool prepare_history_file(const char *path) {
  make_folders(path);
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return false;
  fchmod(file, 0600);
  close(file);
  return true;
}

static void open_history(const char *path) {
  using_history();
  stifle_history(HISTORY_ENTRIES);
  if (!path || !prepare_history_file(path)) return; /* history of this session only */
  history_path = strdup(path);
  if (!history_path) return;
#ifndef LAMPAD_USE_LIBEDIT
  history_comment_char = '#';
  history_write_timestamps = 1; /* and so entries of several lines come back as one */
  history_multiline_entries = 1;
#endif
  read_history(history_path);
}

void line_remember(const char *entry) {
  if (!terminal || entry[strspn(entry, " \t\n")] == '\0') return;
  HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
  if (last && strcmp(last->line, entry) == 0) return;
  add_history(entry);
#ifndef LAMPAD_USE_LIBEDIT
  if (history_path) append_history(1, history_path); /* at once: a crash loses nothing */
#endif
}

/* --- completion ------------------------------------------------------------------------------ */

static char **candidates; /* of the completion under way, handed out one by one */
static size_t next_candidate;

static char *hand_out(const char *text, int state) {
  (void)text;
  if (state == 0) next_candidate = 0;
  if (!candidates || !candidates[next_candidate]) {
    free(candidates);
    candidates = NULL;
    return NULL;
  }
  return candidates[next_candidate++];
}

static char **attempt_completion(const char *text, int start, int end) {
  rl_attempted_completion_over = 1; /* never file names by default */
  size_t word = (size_t)start;
  candidates = host.complete ? host.complete(host.ctx, rl_line_buffer, (size_t)end, &word) : NULL;
  if (!candidates || word != (size_t)start) {
    for (size_t i = 0; candidates && candidates[i]; i++) free(candidates[i]);
    free(candidates);
    candidates = NULL;
    return NULL;
  }
  rl_completion_append_character = '\0';
#ifndef LAMPAD_USE_LIBEDIT
  rl_completion_suppress_quote = 1;
#endif
  return rl_completion_matches((char *)text, hand_out);
}

/* --- keys -------------------------------------------------------------------------------------- */

#ifndef LAMPAD_USE_LIBEDIT
/* Enter: ends the entry when it is complete, else starts a new line inside it. */
static int enter_key(int count, int key) {
  if (host.is_complete && !host.is_complete(host.ctx, rl_line_buffer)) {
    rl_point = rl_end;
    return rl_insert_text("\n") ? 0 : 1;
  }
  rl_point = rl_end;
  return rl_newline(count, key);
}

/* Tab: two blanks at the start of a line, else completion. */
static int tab_key(int count, int key) {
  int at = rl_point;
  while (at > 0 && (rl_line_buffer[at - 1] == ' ' || rl_line_buffer[at - 1] == '\t')) at--;
  if (at == 0 || rl_line_buffer[at - 1] == '\n') return rl_insert_text("  ") ? 0 : 1;
  return rl_complete(count, key);
}
#endif

void line_open(const LineHost *line_host, const char *path) {
  host = *line_host;
  terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
  if (!terminal) return;
  rl_readline_name = "lampad";
  rl_catch_signals = 0; /* interrupt.c has SIGINT */
  rl_attempted_completion_function = attempt_completion;
  rl_basic_word_break_characters = " \t\n\"\\'`@$><=;|&{}()[]+-*/%^~#,.:?!";
  rl_completer_word_break_characters = (char *)rl_basic_word_break_characters;
  rl_completer_quote_characters = "";
#ifdef LAMPAD_USE_LIBEDIT
  rl_initialize();
#else
  rl_variable_bind("enable-bracketed-paste", "on");
  rl_variable_bind("blink-matching-paren", "on");
  rl_bind_key('\r', enter_key);
  rl_bind_key('\n', enter_key);
  rl_bind_key('\t', tab_key);
#endif
  open_history(path);
}

void line_close(void) {
  if (terminal && history_path) {
#ifdef LAMPAD_USE_LIBEDIT
    write_history(history_path);
#else
    history_truncate_file(history_path, HISTORY_ENTRIES);
#endif
    chmod(history_path, 0600);
  }
  free(history_path);
  history_path = NULL;
}

/* --- reading ----------------------------------------------------------------------------------- */

static void on_line(char *line) {
  entered = line;
  finished = true;
  rl_callback_handler_remove();
}

static LineStatus read_edited(const char *prompt, char **text) {
  entered = NULL;
  finished = false;
  interrupt_take_idle();
  rl_callback_handler_install(prompt, on_line);
  while (!finished) {
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    int ready = poll(&input, 1, -1);
    if (interrupt_take_idle()) {
      rl_callback_handler_remove();
      fputs("^C\n", stdout);
      fflush(stdout);
      return LINE_INTERRUPTED;
    }
    if (ready < 0 && errno != EINTR) break;
#ifndef LAMPAD_USE_LIBEDIT
    if (ready < 0) rl_resize_terminal(); /* most likely SIGWINCH */
#endif
    if (ready > 0) rl_callback_read_char();
  }
  if (!finished) rl_callback_handler_remove();
  *text = entered;
  return entered ? LINE_OK : LINE_EOF;
}

static LineStatus read_plain(const char *prompt, char **text) {
  size_t room = 0;
  char *line = NULL;
  if (prompt) {
    fputs(prompt, stdout);
    fflush(stdout);
  }
  interrupt_take_idle();
  ssize_t length = getline(&line, &room, stdin);
  if (length < 0) {
    bool interrupted = interrupt_take_idle();
    free(line);
    if (interrupted) clearerr(stdin);
    return interrupted ? LINE_INTERRUPTED : LINE_EOF;
  }
  if (length > 0 && line[length - 1] == '\n') line[--length] = '\0';
  if (length > 0 && line[length - 1] == '\r') line[--length] = '\0';
  *text = line;
  return LINE_OK;
}

LineStatus line_read(const char *prompt, char **text) {
  *text = NULL;
  return terminal ? read_edited(prompt, text) : read_plain(prompt, text);
}
