/* charset.c: Specific Character Set (0008,0005) to UTF-8 (PS3.5 6.1, PS3.3 C.12.1.1.2).
 *
 * ISO 2022 as DICOM uses it has two code elements, G0 for bytes below 0x80 and G1 for those above,
 * each switched by escape sequences and reset at value delimiters. Bytes are gathered into runs of
 * one character set and converted by iconv(3); multi-byte sets of ISO 2022 go through the EUC
 * encoding that holds the same codes. Bytes without a meaning become U+FFFD. */
#include <iconv.h>
#include <stdio.h>

#include "dicom/internal.h"

typedef enum set {
    SET_ASCII,    /* ISO-IR 6 */
    SET_ROMAJI,   /* ISO-IR 14: ASCII but for yen and overline */
    SET_KATAKANA, /* ISO-IR 13, G1 */
    SET_LATIN1,
    SET_LATIN2,
    SET_LATIN3,
    SET_LATIN4,
    SET_CYRILLIC,
    SET_ARABIC,
    SET_GREEK,
    SET_HEBREW,
    SET_LATIN5,
    SET_LATIN9,
    SET_THAI,
    SET_KANJI,     /* ISO-IR 87, two bytes in G0 */
    SET_KANJI_SUP, /* ISO-IR 159, two bytes in G0 */
    SET_KOREAN,    /* ISO-IR 149, two bytes in G1 */
    SET_CHINESE,   /* ISO-IR 58, two bytes in G1 */
    SET_UTF8,
    SET_GB18030,
    SET_GBK, /* not ISO 2022: the whole text */
    SET_NONE /* G1 where no set is named */
} set;

static const struct set_info {
    set id;
    int registration;     /* ISO-IR number */
    const char *encoding; /* for iconv; NULL where code below does it */
    const char *escape;   /* what follows ESC */
} sets[] = {
    {SET_ASCII, 6, NULL, "(B"},
    {SET_ROMAJI, 14, NULL, "(J"},
    {SET_KATAKANA, 13, NULL, ")I"},
    {SET_LATIN1, 100, "ISO-8859-1", "-A"},
    {SET_LATIN2, 101, "ISO-8859-2", "-B"},
    {SET_LATIN3, 109, "ISO-8859-3", "-C"},
    {SET_LATIN4, 110, "ISO-8859-4", "-D"},
    {SET_CYRILLIC, 144, "ISO-8859-5", "-L"},
    {SET_ARABIC, 127, "ISO-8859-6", "-G"},
    {SET_GREEK, 126, "ISO-8859-7", "-F"},
    {SET_HEBREW, 138, "ISO-8859-8", "-H"},
    {SET_LATIN5, 148, "ISO-8859-9", "-M"},
    {SET_LATIN9, 203, "ISO-8859-15", "-b"},
    {SET_THAI, 166, "TIS-620", "-T"},
    {SET_KANJI, 87, "EUC-JP", "$B"},
    {SET_KANJI_SUP, 159, "EUC-JP", "$(D"},
    {SET_KOREAN, 149, "EUC-KR", "$)C"},
    {SET_CHINESE, 58, "GB2312", "$)A"},
    {SET_UTF8, 192, "UTF-8", NULL},
    {SET_GB18030, -1, "GB18030", NULL},
    {SET_GBK, -1, "GBK", NULL},
    {SET_KANJI, -1, "EUC-JP", "$@"},
};
enum { SETS = sizeof sets / sizeof sets[0] };

static const char *encoding_of(set s) {
    for (int i = 0; i < SETS; i++)
        if (sets[i].id == s) return sets[i].encoding;
    return NULL;
}

typedef struct decoder {
    set initial0, initial1, g0, g1;
    char *out;
    size_t size, wanted, written, spaces; /* spaces: held back until something follows */
    bool full, strip;
    set run_set;
    uint8_t run[96];
    size_t run_length;
} decoder;

/* --- output ----------------------------------------------------------------------------------- */

/* Whole characters: written together or, without room, not at all. */
static void put_bytes(decoder *s, const char *utf8, size_t n) {
    s->wanted += n;
    if (s->full || s->written + n >= s->size) {
        s->full = true;
        return;
    }
    memcpy(s->out + s->written, utf8, n);
    s->written += n;
}

/* One character. Spaces at the end never come out, those at the beginning only unless stripped. */
static void put(decoder *s, const char *utf8, size_t n) {
    if (n == 1 && utf8[0] == ' ') {
        s->spaces += !(s->strip && s->wanted == 0);
        return;
    }
    for (; s->spaces; s->spaces--) put_bytes(s, " ", 1);
    put_bytes(s, utf8, n);
}

static void put_code(decoder *s, uint32_t c) {
    char u[3];
    if (c < 0x80) {
        u[0] = (char)c;
        put(s, u, 1);
    } else if (c < 0x800) {
        u[0] = (char)(0xC0 | c >> 6);
        u[1] = (char)(0x80 | (c & 0x3F));
        put(s, u, 2);
    } else {
        u[0] = (char)(0xE0 | c >> 12);
        u[1] = (char)(0x80 | (c >> 6 & 0x3F));
        u[2] = (char)(0x80 | (c & 0x3F));
        put(s, u, 3);
    }
}

static void put_each_character(decoder *s, const char *utf8, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t k = i + 1;
        while (k < n && ((uint8_t)utf8[k] & 0xC0) == 0x80) k++;
        put(s, utf8 + i, k - i);
        i = k;
    }
}

static void convert(decoder *s, const char *encoding, const uint8_t *bytes, size_t n) {
    iconv_t cd = iconv_open("UTF-8", encoding);
    if (cd == (iconv_t)-1) {
        for (size_t i = 0; i < n; i++) put_code(s, 0xFFFD);
        return;
    }
    char *in = (char *)bytes;
    size_t left = n;
    while (left) {
        char buffer[400], *to = buffer;
        size_t room = sizeof buffer;
        size_t code = iconv(cd, &in, &left, &to, &room);
        put_each_character(s, buffer, sizeof buffer - room);
        if (code == (size_t)-1 && left && to == buffer) { /* no character begins here */
            put_code(s, 0xFFFD);
            in++;
            left--;
            iconv(cd, NULL, NULL, NULL, NULL);
        }
    }
    iconv_close(cd);
}

static void flush(decoder *s) {
    if (s->run_length) convert(s, encoding_of(s->run_set), s->run, s->run_length);
    s->run_length = 0;
}

/* A byte of a set that iconv converts; `last` ends a character, so that runs never cut one. */
static void gather(decoder *s, set from, uint8_t byte, bool last) {
    if (s->run_length && s->run_set != from) flush(s);
    s->run_set = from;
    s->run[s->run_length++] = byte;
    if (last && s->run_length > sizeof s->run - 8) flush(s);
}

/* --- ISO 2022 --------------------------------------------------------------------------------- */

/* Length of the escape sequence at p (ESC included) after switching to what it names;
 * 0: unknown. */
static size_t switch_set(decoder *s, const uint8_t *p, size_t n) {
    for (int i = 0; i < SETS; i++) {
        const char *escape = sets[i].escape;
        size_t length = escape ? strlen(escape) : 0;
        if (!length || n < length + 1 || memcmp(p + 1, escape, length) != 0) continue;
        bool into_g1 = escape[0] == ')' || escape[0] == '-' || escape[1] == ')';
        if (into_g1) s->g1 = sets[i].id;
        else s->g0 = sets[i].id;
        return length + 1;
    }
    return 0;
}

/* One character that begins at p, outside of escape sequences. Returns the bytes taken. */
static size_t take_2022(decoder *s, const uint8_t *p, size_t n) {
    uint8_t c = p[0];
    if (c < 0x21 || c == 0x7F) { /* controls and space are the same everywhere */
        flush(s);
        if (c) put_code(s, c);
        return 1;
    }
    set now = c < 0x80 ? s->g0 : s->g1;
    switch (now) {
    case SET_KANJI:
    case SET_KANJI_SUP:
        if (n < 2 || p[1] < 0x21 || p[1] > 0x7E) break;
        if (now == SET_KANJI_SUP) gather(s, now, 0x8F, false);
        gather(s, now, c | 0x80, false);
        gather(s, now, p[1] | 0x80, true);
        return 2;
    case SET_KOREAN:
    case SET_CHINESE:
        if (n < 2 || p[1] < 0xA1) break;
        gather(s, now, c, false);
        gather(s, now, p[1], true);
        return 2;
    case SET_ASCII:
    case SET_ROMAJI:
        flush(s);
        put_code(s, now == SET_ASCII ? c : c == '\\' ? 0xA5 : c == '~' ? 0x203E : c);
        return 1;
    case SET_KATAKANA:
        flush(s);
        put_code(s, c >= 0xA1 && c <= 0xDF ? 0xFF61u + c - 0xA1u : 0xFFFD);
        return 1;
    case SET_NONE: break;
    default: gather(s, now, c, true); return 1;
    }
    flush(s);
    put_code(s, 0xFFFD);
    return 1;
}

/* --- the sets a text begins with -------------------------------------------------------------- */

static bool contains(const char *term, size_t n, const char *what) {
    return memmem(term, n, what, strlen(what)) != NULL;
}

/* A defined term such as "ISO_IR 100", "ISO 2022 IR 87" or one of their misspellings: the number
 * at its end decides. */
static set set_of_term(const char *term, size_t n) {
    while (n && (term[n - 1] == ' ' || term[n - 1] == 0)) n--;
    if (contains(term, n, "GB18030")) return SET_GB18030;
    if (contains(term, n, "GBK")) return SET_GBK;
    if (contains(term, n, "UTF") || contains(term, n, "utf")) return SET_UTF8;
    int number = 0;
    size_t digit = n;
    while (digit && term[digit - 1] >= '0' && term[digit - 1] <= '9') digit--;
    for (; digit < n && number < 10000; digit++) number = number * 10 + (term[digit] - '0');
    for (int i = 0; i < SETS; i++)
        if (sets[i].registration == number && number) return sets[i].id;
    return SET_NONE;
}

static bool is_utf8(const uint8_t *text, size_t n) {
    for (size_t i = 0; i < n;) {
        int more = text[i] < 0x80 ? 0 : text[i] >= 0xF0 ? 3 : text[i] >= 0xE0 ? 2 : 1;
        if (more && (text[i] < 0xC2 || text[i] > 0xF4)) return false;
        for (i++; more; more--, i++)
            if (i >= n || (text[i] & 0xC0) != 0x80) return false;
    }
    return true;
}

/* Nothing but ASCII, no escape: the same in all sets that are a whole text's. */
static bool is_plain(const uint8_t *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (text[i] >= 0x80 || text[i] == 0x1B) return false;
    return true;
}

static void choose_initial(decoder *s, const char *charset, size_t n, const uint8_t *text,
                           size_t length) {
    const char *slash = n ? memchr(charset, '\\', n) : NULL;
    set first = n ? set_of_term(charset, slash ? (size_t)(slash - charset) : n) : SET_NONE;
    s->initial0 = SET_ASCII;
    s->initial1 = SET_NONE;
    switch (first) {
    case SET_UTF8:
    case SET_GB18030:
    case SET_GBK: s->initial0 = first; break;
    case SET_KATAKANA:
        s->initial0 = SET_ROMAJI;
        s->initial1 = SET_KATAKANA;
        break;
    case SET_ROMAJI: s->initial0 = SET_ROMAJI; break;
    case SET_KANJI:
    case SET_KANJI_SUP: break; /* only by escape sequence */
    case SET_ASCII:
    case SET_NONE:
        /* Bytes above 0x7F without a declared set are against the standard but common: UTF-8 if
         * they are that, else Latin-1. With escape sequences announced, they stay undefined. */
        if (slash) break;
        if (is_utf8(text, length)) s->initial0 = SET_UTF8;
        else s->initial1 = SET_LATIN1;
        break;
    default: s->initial1 = first; break;
    }
    if (s->initial0 >= SET_UTF8 && is_plain(text, length)) s->initial0 = SET_ASCII;
    s->g0 = s->initial0;
    s->g1 = s->initial1;
}

/* Bytes of the character at p in a set that is the whole text's. */
static size_t character_length(set whole, const uint8_t *p, size_t n) {
    if (p[0] < 0x80 || n < 2) return 1;
    if (whole == SET_UTF8) {
        size_t k = 1;
        while (k < 4 && k < n && (p[k] & 0xC0) == 0x80) k++;
        return k;
    }
    bool four = whole == SET_GB18030 && p[1] >= 0x30 && p[1] <= 0x39;
    return four ? (n < 4 ? n : 4) : 2;
}

/* --- the whole text --------------------------------------------------------------------------- */

/* Steps over the raw text; characters of value `index` (or of all of it) go to the decoder. */
static bool decode(decoder *s, const uint8_t *text, size_t length, int index, bool person_name) {
    int value = 0;
    bool whole = s->initial0 >= SET_UTF8;
    for (size_t i = 0; i < length;) {
        uint8_t c = text[i];
        bool wanted = index < 0 || value == index, separates = index != -1;
        if (c == 0x1B && !whole) {
            size_t n = switch_set(s, text + i, length - i);
            i += n ? n : 1;
            continue;
        }
        bool two_bytes = !whole && (s->g0 == SET_KANJI || s->g0 == SET_KANJI_SUP);
        if (c == '\\' && separates && !two_bytes) {
            if (index >= 0 && ++value > index) break;
            flush(s);
            if (index < 0) put_code(s, c);
            i++;
            s->g0 = s->initial0;
            s->g1 = s->initial1;
            continue;
        }
        if ((c == '\r' || c == '\n' || c == '\f' || c == '\t' ||
             (person_name && (c == '^' || c == '=') && !two_bytes))) {
            s->g0 = s->initial0;
            s->g1 = s->initial1;
        }
        if (whole) {
            size_t n = character_length(s->initial0, text + i, length - i);
            for (size_t k = 0; wanted && k < n; k++)
                gather(s, s->initial0, text[i + k] ? text[i + k] : ' ', k + 1 == n);
            i += n;
        } else if (wanted) {
            i += take_2022(s, text + i, length - i);
        } else {
            i += two_bytes && c >= 0x21 && length - i > 1 ? 2 : 1;
        }
    }
    flush(s);
    return index < 0 || value >= index;
}

int mg_dicom_decode_text(const char *charset, size_t charset_length, const uint8_t *text,
                         size_t length, int index, bool person_name, char *out, size_t size) {
    decoder s = {.out = out, .size = size, .strip = index >= 0};
    choose_initial(&s, charset, charset_length, text, length);
    bool found = decode(&s, text, length, index, person_name);
    if (size) out[s.written] = 0;
    return !found ? -1 : s.wanted > INT32_MAX ? INT32_MAX : (int)s.wanted;
}
