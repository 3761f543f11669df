/* Reading lines from a person: editing, history and completion through readline or libedit on a
 * terminal, plain lines from anything else. */
#ifndef LAMPAD_LINE_H
#define LAMPAD_LINE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum LineStatus { LINE_OK, LINE_EOF, LINE_INTERRUPTED } LineStatus;

typedef struct LineHost {
  /* Would Enter finish this entry? (false: Enter starts a new line inside it) */
  bool (*is_complete)(void *ctx, const char *text);
  /* Candidates for the word that ends at `end` of the text: a NULL-terminated malloc'd array of
   * malloc'd whole replacements for text[*start, end), or NULL. */
  char **(*complete)(void *ctx, const char *text, size_t end, size_t *start);
  void *ctx;
} LineHost;

/* Prepares stdin; editing when stdin and stdout are a terminal. The history file may be NULL. */
void line_open(const LineHost *host, const char *history_path);
void line_close(void);

/* True when stdin is a terminal that line_read edits. */
bool line_is_terminal(void);

/* True when Enter itself continues incomplete entries, so line_read returns whole ones. */
bool line_is_multiline(void);

/* Reads one line (or a whole entry, see above) into *text, malloc'd, without the final newline. */
LineStatus line_read(const char *prompt, char **text);

/* Adds an entry to the history and its file; blank entries and repetitions are left out. */
void line_remember(const char *entry);

#endif
