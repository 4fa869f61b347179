#include "data/toml_scan.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

int
scan_look(const struct scan *s, size_t ahead)
{
	return (size_t)(s->end - s->at) > ahead ? (unsigned char)s->at[ahead] : -1;
}

void
scan_step(struct scan *s, size_t n)
{
	for (; n > 0; n--, s->at++) {
		if (*s->at == '\n') {
			s->line++;
			s->column = 1;
		} else if (((unsigned char)*s->at & 0xc0) != 0x80)
			s->column++;
	}
}

bool
scan_take(struct scan *s, char c)
{
	if (scan_look(s, 0) != c)
		return false;
	scan_step(s, 1);
	return true;
}

enum err_code
scan_fail_at(struct scan *s, unsigned line, unsigned column, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(s->err, ERR_SYNTAX, "%s:%u:%u: %s", s->file, line, column, what);
}

enum err_code
scan_fail(struct scan *s, const char *what)
{
	return scan_fail_at(s, s->line, s->column, "%s", what);
}

/* --- blanks */

static bool
is_blank(int c)
{
	return c == ' ' || c == '\t';
}

/* Control characters other than the tab, which may stand nowhere. */
static bool
is_control(int c)
{
	return (c >= 0 && c < 0x20 && c != '\t') || c == 0x7f;
}

/* Length of the line break at the cursor, 0 when there is none. */
static size_t
break_len(const struct scan *s)
{
	if (scan_look(s, 0) == '\n')
		return 1;
	return scan_look(s, 0) == '\r' && scan_look(s, 1) == '\n' ? 2 : 0;
}

void
scan_blank(struct scan *s)
{
	while (is_blank(scan_look(s, 0)))
		scan_step(s, 1);
}

static enum err_code
scan_comment(struct scan *s)
{
	if (scan_look(s, 0) != '#')
		return ERR_OK;
	while (scan_look(s, 0) >= 0 && break_len(s) == 0) {
		if (is_control(scan_look(s, 0)))
			return scan_fail(s, "control character in a comment");
		scan_step(s, 1);
	}
	return ERR_OK;
}

enum err_code
scan_lines(struct scan *s)
{
	for (;;) {
		scan_blank(s);
		if (scan_comment(s))
			return s->err->code;
		if (break_len(s) == 0)
			return ERR_OK;
		scan_step(s, break_len(s));
	}
}

enum err_code
scan_line_end(struct scan *s)
{
	scan_blank(s);
	if (scan_comment(s))
		return s->err->code;
	if (scan_look(s, 0) >= 0 && break_len(s) == 0)
		return scan_fail(s, "expected the end of the line");
	scan_step(s, break_len(s));
	return ERR_OK;
}

/* --- strings */

static void
add_utf8(struct buf *out, uint32_t c)
{
	char text[4];
	size_t n = 0;

	if (c < 0x80)
		text[n++] = (char)c;
	else {
		size_t more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
		static const unsigned char lead[] = { 0, 0xc0, 0xe0, 0xf0 };

		text[n++] = (char)(lead[more] | c >> 6 * more);
		while (more-- > 0)
			text[n++] = (char)(0x80 | (c >> 6 * more & 0x3f));
	}
	buf_add(out, text, n);
}

static int
digit_of(int c, int base)
{
	int value = 99;

	if (c >= '0' && c <= '9')
		value = c - '0';
	else if (c >= 'a' && c <= 'f')
		value = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		value = c - 'A' + 10;
	return value < base ? value : -1;
}

/* The digits of \uXXXX and \UXXXXXXXX. */
static enum err_code
scan_unicode(struct scan *s, size_t digits, struct buf *out)
{
	uint32_t c = 0;

	for (size_t i = 0; i < digits; i++) {
		int value = digit_of(scan_look(s, 2 + i), 16);

		if (value < 0)
			return scan_fail(s, "unfinished Unicode escape");
		c = c << 4 | (uint32_t)value;
	}
	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return scan_fail(s, "Unicode escape of what is no character");
	scan_step(s, 2 + digits);
	add_utf8(out, c);
	return ERR_OK;
}

/* A backslash at the end of a line takes all blanks and line breaks behind it away.  False: it is no such backslash. */
static bool
scan_line_joint(struct scan *s)
{
	struct scan ahead = *s;

	scan_step(&ahead, 1);
	scan_blank(&ahead);
	if (break_len(&ahead) == 0)
		return false;
	while (is_blank(scan_look(&ahead, 0)) || break_len(&ahead) > 0)
		scan_step(&ahead, break_len(&ahead) ? break_len(&ahead) : 1);
	*s = ahead;
	return true;
}

static enum err_code
scan_escape(struct scan *s, bool multi, struct buf *out)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	int c = scan_look(s, 1);
	const char *at = c > 0 ? strchr(from, c) : NULL;

	if (at) {
		buf_add(out, &to[at - from], 1);
		scan_step(s, 2);
		return ERR_OK;
	}
	if (c == 'u' || c == 'U')
		return scan_unicode(s, c == 'u' ? 4 : 8, out);
	if (multi && scan_line_joint(s))
		return ERR_OK;
	return scan_fail(s, "unknown escape");
}

/* The closing quotes of a string of many lines, of which up to two more belong to its content. */
static bool
scan_closing(struct scan *s, char quote, struct buf *out)
{
	size_t n = 0;

	while (n < 5 && scan_look(s, n) == quote)
		n++;
	if (n >= 3)
		buf_add(out, s->at, n - 3);
	else
		buf_add(out, s->at, n);
	scan_step(s, n);
	return n >= 3;
}

static enum err_code
scan_content(struct scan *s, char quote, bool multi, struct buf *out)
{
	for (;;) {
		int c = scan_look(s, 0);
		size_t n = multi ? break_len(s) : 0;

		if (c == quote && !multi) {
			scan_step(s, 1);
			return ERR_OK;
		}
		if (c == quote) {
			if (scan_closing(s, quote, out))
				return ERR_OK;
		} else if (c == '\\' && quote == '"') {
			if (scan_escape(s, multi, out))
				return s->err->code;
		} else if (c < 0 || (c == '\n' && !multi))
			return scan_fail(s, "string without an end");
		else if (n == 0 && is_control(c))
			return scan_fail(s, "control character in a string");
		else {
			n = n ? n : 1;
			buf_add(out, s->at, n);
			scan_step(s, n);
		}
	}
}

/* The string at the cursor, which stands on its quote. */
static enum err_code
scan_string(struct scan *s, bool may_be_multi, char **ret, size_t *ret_len)
{
	AUTO(buf_done) struct buf out = { 0 };
	char quote = *s->at;
	bool multi = may_be_multi && scan_look(s, 1) == quote && scan_look(s, 2) == quote;
	struct bytes bytes;

	scan_step(s, multi ? 3 : 1);
	if (multi)
		scan_step(s, break_len(s));
	if (scan_content(s, quote, multi, &out) || buf_take(&out, &bytes, s->err))
		return s->err->code;
	*ret = (char *)bytes.data;
	*ret_len = bytes.len;
	return ERR_OK;
}

static bool
is_bare(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

enum err_code
scan_key(struct scan *s, char **ret, size_t *ret_len)
{
	int c = scan_look(s, 0);
	size_t n = 0;
	char *key;

	if (c == '"' || c == '\'')
		return scan_string(s, false, ret, ret_len);
	while (is_bare(scan_look(s, n)))
		n++;
	if (n == 0)
		return scan_fail(s, "expected a key");
	key = strndup(s->at, n);
	if (!key)
		return err_nomem(s->err);
	scan_step(s, n);
	*ret = key;
	*ret_len = n;
	return ERR_OK;
}

/* --- dates and times: each function takes what it wants off the front of the text */

static bool
take_digits(const char **at, size_t n, int low, int high, int *ret)
{
	int value = 0;

	for (size_t i = 0; i < n; i++) {
		if ((*at)[i] < '0' || (*at)[i] > '9')
			return false;
		value = value * 10 + ((*at)[i] - '0');
	}
	if (value < low || value > high)
		return false;
	*at += n;
	*ret = value;
	return true;
}

static bool
take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

static bool
take_date(const char **at)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year, month, day;
	bool leap;

	if (!take_digits(at, 4, 0, 9999, &year) || !take_char(at, '-') ||
	    !take_digits(at, 2, 1, 12, &month) || !take_char(at, '-') ||
	    !take_digits(at, 2, 1, 31, &day))
		return false;
	leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	return day <= days[month - 1] + (month == 2 && leap);
}

static bool
take_time(const char **at)
{
	int part;

	/* second 60: RFC 3339 knows leap seconds */
	if (!take_digits(at, 2, 0, 23, &part) || !take_char(at, ':') ||
	    !take_digits(at, 2, 0, 59, &part) || !take_char(at, ':') ||
	    !take_digits(at, 2, 0, 60, &part))
		return false;
	if (!take_char(at, '.'))
		return true;
	if (!take_digits(at, 1, 0, 9, &part))
		return false;
	while (take_digits(at, 1, 0, 9, &part))
		;
	return true;
}

static bool
take_offset(const char **at)
{
	int part;

	if (take_char(at, 'Z'))
		return true;
	return (take_char(at, '+') || take_char(at, '-')) && take_digits(at, 2, 0, 23, &part) &&
	       take_char(at, ':') && take_digits(at, 2, 0, 59, &part);
}

/* What kind of date or time the whole text is; false: none. */
static bool
datetime_kind(const char *at, enum toml_kind *ret)
{
	if (at[0] && at[1] && at[2] == ':') {
		*ret = TOML_LOCAL_TIME;
		return take_time(&at) && !*at;
	}
	if (!take_date(&at))
		return false;
	*ret = TOML_LOCAL_DATE;
	if (!*at)
		return true;
	if (!take_char(&at, 'T') || !take_time(&at))
		return false;
	*ret = TOML_LOCAL_DATETIME;
	if (!*at)
		return true;
	*ret = TOML_OFFSET_DATETIME;
	return take_offset(&at) && !*at;
}

static bool
looks_like_datetime(const char *token)
{
	size_t digits = strspn(token, "0123456789");

	return (digits == 4 && token[4] == '-') || (digits == 2 && token[2] == ':');
}

/* --- numbers */

/* Digits of the base with single underscores between them; returns how long they are, 0 for none. */
static size_t
digits_len(const char *text, int base)
{
	size_t n = 0;

	for (;;) {
		if (digit_of((unsigned char)text[n], base) < 0)
			return 0;
		while (digit_of((unsigned char)text[n], base) >= 0)
			n++;
		if (text[n] != '_')
			return n;
		n++;
	}
}

static void
drop_underscores(char *text)
{
	char *to = text;

	for (; *text; text++)
		if (*text != '_')
			*to++ = *text;
	*to = '\0';
}

static enum err_code
make_integer(struct scan *start, char *digits, int base, struct toml *node)
{
	drop_underscores(digits);
	errno = 0;
	node->kind = TOML_INTEGER;
	node->integer = strtoimax(digits, NULL, base);
	if (errno == ERANGE)
		return scan_fail(start, "integer does not fit into 64 bits");
	return ERR_OK;
}

static int
base_of_prefix(const char *token)
{
	if (token[0] != '0')
		return 0;
	switch (token[1]) {
	case 'x':
		return 16;
	case 'o':
		return 8;
	case 'b':
		return 2;
	default:
		return 0;
	}
}

/* Length of fraction and exponent behind the whole part; 0: neither, or not well-formed. */
static size_t
fraction_len(const char *text)
{
	size_t n = 0, len;

	if (text[n] == '.') {
		len = digits_len(text + n + 1, 10);
		if (len == 0)
			return 0;
		n += 1 + len;
	}
	if (text[n] == 'e' || text[n] == 'E') {
		n++;
		n += text[n] == '+' || text[n] == '-';
		len = digits_len(text + n, 10);
		if (len == 0)
			return 0;
		n += len;
	}
	return n;
}

static enum err_code
make_number(struct scan *start, char *token, struct toml *node)
{
	char *digits = token + (*token == '+' || *token == '-');
	size_t whole = digits_len(digits, 10), fraction;
	int base = base_of_prefix(token);

	if (base && digits_len(token + 2, base) == strlen(token + 2) && token[2])
		return make_integer(start, token + 2, base, node);
	if (strcmp(digits, "inf") == 0 || strcmp(digits, "nan") == 0) {
		node->kind = TOML_FLOAT;
		node->real = *digits == 'n' ? NAN : *token == '-' ? -INFINITY : INFINITY;
		return ERR_OK;
	}
	if (whole > 1 && digits[0] == '0')
		return scan_fail(start, "number with a leading zero");
	if (whole > 0 && !digits[whole])
		return make_integer(start, token, 10, node);
	fraction = whole > 0 ? fraction_len(digits + whole) : 0;
	if (fraction == 0 || digits[whole + fraction])
		return scan_fail(start, "invalid value");
	drop_underscores(token);
	node->kind = TOML_FLOAT;
	node->real = strtod(token, NULL);
	return ERR_OK;
}

/* --- everything that is neither string nor structure */

static bool
is_token(int c)
{
	return is_bare(c) || c == '+' || c == '.' || c == ':';
}

static size_t
token_len(const struct scan *s)
{
	size_t n = 0;

	while (is_token(scan_look(s, n)))
		n++;
	/* a date and a time may have a space between them */
	if (n == 10 && s->at[4] == '-' && scan_look(s, n) == ' ' &&
	    digit_of(scan_look(s, n + 1), 10) >= 0 && digit_of(scan_look(s, n + 2), 10) >= 0)
		for (n++; is_token(scan_look(s, n));)
			n++;
	return n;
}

static enum err_code
make_datetime(struct scan *start, char **token, struct toml *node)
{
	for (char *p = *token; *p; p++) {
		if (*p == ' ' || *p == 't')
			*p = 'T';
		else if (*p == 'z')
			*p = 'Z';
	}
	if (!datetime_kind(*token, &node->kind))
		return scan_fail(start, "invalid date or time");
	node->string.len = strlen(*token);
	node->string.data = *token;
	*token = NULL;
	return ERR_OK;
}

static enum err_code
scan_token(struct scan *s, struct toml *node)
{
	AUTO(str_freep) char *token = NULL;
	struct scan start = *s;
	size_t n = token_len(s);

	if (n == 0)
		return scan_fail(s, "expected a value");
	token = strndup(s->at, n);
	if (!token)
		return err_nomem(s->err);
	scan_step(s, n);
	if (strcmp(token, "true") == 0 || strcmp(token, "false") == 0) {
		node->kind = TOML_BOOL;
		node->boolean = *token == 't';
		return ERR_OK;
	}
	if (looks_like_datetime(token))
		return make_datetime(&start, &token, node);
	return make_number(&start, token, node);
}

enum err_code
scan_scalar(struct scan *s, struct toml *node)
{
	int c = scan_look(s, 0);

	if (c != '"' && c != '\'')
		return scan_token(s, node);
	if (scan_string(s, true, &node->string.data, &node->string.len))
		return s->err->code;
	node->kind = TOML_STRING;
	return ERR_OK;
}
