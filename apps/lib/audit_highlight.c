/* audit_highlight.c: a small C lexer that never fails: what it does not know is plain text. */
#include "apps/lib/audit_highlight.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const keywords[] = {
    "break",  "case",   "const",   "continue", "default", "do",       "else",     "enum",
    "extern", "for",    "goto",    "if",       "inline",  "return",   "sizeof",   "static",
    "struct", "switch", "typedef", "union",    "while",   "restrict", "volatile", NULL};
static const char *const types[] = {
    "void",     "char",     "int",    "long",  "short", "float",   "double",  "bool",
    "unsigned", "signed",   "size_t", "real",  "v16",   "int64_t", "int32_t", "uint32_t",
    "uint8_t",  "uint64_t", "true",   "false", "NULL",  NULL};

static bool among(const char *const *words, const char *text, size_t size) {
    for (; *words; words++)
        if (strlen(*words) == size && memcmp(*words, text, size) == 0) return true;
    return false;
}

static bool in_name(char c) { return isalnum((unsigned char)c) || c == '_'; }

static void escaped(mg_text *out, const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '<') mg_text_add(out, "&lt;");
        else if (text[i] == '>') mg_text_add(out, "&gt;");
        else if (text[i] == '&') mg_text_add(out, "&amp;");
        else mg_text_bytes(out, &text[i], 1);
    }
}

/* --- which pass a function belongs to --------------------------------------------------------- */

static bool has(const char *text, size_t size, const char *word) {
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= size; i++)
        if (memcmp(text + i, word, n) == 0) return true;
    return false;
}

/* A definition starts in the first column and has "(" on its line; its name decides. */
static const char *pass_of(const char *line, size_t size) {
    const char *bracket = memchr(line, '(', size);
    if (!bracket || !isalpha((unsigned char)line[0]) || line[size - 1] == ';') return "";
    const char *name = bracket;
    while (name > line && in_name(name[-1])) name--;
    size_t length = (size_t)(bracket - name);
    if (has(name, length, "backward") || has(name, length, "slope") ||
        strncmp(name, "dx", 2) == 0 || strncmp(name, "dw", 2) == 0)
        return " bw";
    return has(name, length, "forward") ? " fw" : "";
}

/* --- the lexer -------------------------------------------------------------------------------- */

typedef struct lexer {
    const char *at;
    mg_text *out;
    const char *pass; /* class of the function we are in */
    bool in_comment, line_open, new_line;
} lexer;

static size_t line_size(const char *at) { return strcspn(at, "\n"); }

static void open_line(lexer *l) {
    size_t size = line_size(l->at);
    if (!l->in_comment && !*l->pass && size) l->pass = pass_of(l->at, size);
    mg_text_format(l->out, "<span class=\"l%s\">%s", l->pass,
                   l->in_comment ? "<b class=\"c\">" : "");
    if (l->at[0] == '}' || (size && *l->pass && l->at[size - 1] == '}' && l->at[0] != ' '))
        l->pass = "";
    l->line_open = true;
}

static void close_line(lexer *l) {
    mg_text_add(l->out, l->in_comment ? "</b>\n</span>" : "\n</span>");
    l->line_open = false;
}

static void token(lexer *l, const char *kind, size_t size) {
    mg_text_format(l->out, "<b class=\"%s\">", kind);
    escaped(l->out, l->at, size);
    mg_text_add(l->out, "</b>");
    l->at += size;
}

/* Up to the end of the comment or of the line. */
static void comment_part(lexer *l) {
    size_t size = line_size(l->at);
    const char *end = strstr(l->at, "*/");
    bool ends = end && (size_t)(end - l->at) < size;
    if (ends) size = (size_t)(end - l->at) + 2;
    escaped(l->out, l->at, size);
    l->at += size;
    if (!ends) return;
    mg_text_add(l->out, "</b>");
    l->in_comment = false;
}

static size_t string_size(const char *at) {
    size_t n = 1;
    while (at[n] && at[n] != '\n' && at[n] != at[0]) n += at[n] == '\\' && at[n + 1] ? 2 : 1;
    return at[n] == at[0] ? n + 1 : n;
}

static void word(lexer *l) {
    size_t size = 1;
    while (in_name(l->at[size])) size++;
    const char *kind =
        among(keywords, l->at, size)                                                         ? "k"
        : among(types, l->at, size) || (size > 2 && strncmp(l->at + size - 2, "_t", 2) == 0) ? "t"
        : l->at[size] == '('                                                                 ? "f"
                                                                                             : NULL;
    if (kind) {
        token(l, kind, size);
    } else {
        escaped(l->out, l->at, size);
        l->at += size;
    }
}

static void number(lexer *l) {
    size_t size = 1;
    while (in_name(l->at[size]) || l->at[size] == '.' ||
           (strchr("+-", l->at[size]) && strchr("eEpP", l->at[size - 1]) && l->at[size]))
        size++;
    token(l, "n", size);
}

static void next(lexer *l) {
    char c = *l->at;
    if (l->in_comment) {
        comment_part(l);
    } else if (c == '/' && l->at[1] == '*') {
        mg_text_add(l->out, "<b class=\"c\">");
        escaped(l->out, l->at, 2);
        l->at += 2;
        l->in_comment = true;
    } else if (c == '/' && l->at[1] == '/') {
        token(l, "c", line_size(l->at));
    } else if (c == '"' || c == '\'') {
        token(l, "s", string_size(l->at));
    } else if (c == '#' && l->new_line) {
        size_t n = 1;
        while (isalpha((unsigned char)l->at[n])) n++;
        token(l, "p", n);
    } else if (isdigit((unsigned char)c)) {
        number(l);
    } else if (in_name(c)) {
        word(l);
    } else {
        escaped(l->out, l->at++, 1);
    }
}

void mg_highlight_c(const char *source, mg_text *out) {
    lexer l = {.at = source, .out = out, .pass = "", .new_line = true};
    while (*l.at) {
        if (!l.line_open) {
            open_line(&l);
            l.new_line = true;
        }
        if (*l.at == '\n') {
            close_line(&l);
            l.at++;
            continue;
        }
        bool blank = *l.at == ' ';
        next(&l);
        l.new_line = l.new_line && blank;
    }
    if (l.line_open) close_line(&l);
}
