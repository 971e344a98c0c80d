/* Files that appear whole or not at all. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tensor/atomic_file.h"
#include "tensor/mapped_file.h"
#include "tests/lib/scratch.h"

static void setup(void) { scratch_make(); }
TestSuite(atomic, .init = setup, .fini = scratch_remove);

static bool holds(const char *path, const char *text) {
    size_t size;
    unsigned char *bytes = slurp(path, &size);
    bool same = size == strlen(text) && !memcmp(bytes, text, size);
    free(bytes);
    return same;
}

Test(atomic, appears_at_commit) {
    mg_error err = {0};
    const char *path = scratch_path("a");
    mg_atomic_file *f = mg_atomic_open(path, &err);
    cr_assert(f, "%s", err.message);
    cr_assert_eq(mg_atomic_write(f, "hello ", 6), MG_OK);
    cr_assert_eq(mg_atomic_printf(f, "%d %s", 7, "wide"), MG_OK);
    cr_assert_eq(mg_atomic_size(f), 12);
    cr_assert_neq(access(path, F_OK), 0);
    cr_assert_eq(mg_atomic_commit(f, &err), MG_OK, "%s", err.message);
    cr_assert(holds(path, "hello 7 wide"));
    cr_assert_eq(scratch_count(), 1);
}

Test(atomic, abandon_leaves_the_old_file) {
    const char *path = scratch_path("a");
    cr_assert_eq(mg_atomic_write_file(path, "old", 3, NULL), MG_OK);
    mg_atomic_file *f = mg_atomic_open(path, NULL);
    mg_atomic_write(f, "new", 3);
    mg_atomic_abandon(f);
    cr_assert(holds(path, "old"));
    cr_assert_eq(scratch_count(), 1);
}

Test(atomic, large_pieces_in_order) {
    size_t size = 300001;
    unsigned char *bytes = malloc(size), *back;
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(i * 7 ^ i >> 9);
    mg_atomic_file *f = mg_atomic_open(scratch_path("a"), NULL);
    for (size_t at = 0, n = 1; at < size; at += n, n = n * 3 % 90001)
        mg_atomic_write(f, bytes + at, n < size - at ? n : size - at);
    cr_assert_eq(mg_atomic_commit(f, NULL), MG_OK);
    mg_mapped_file map;
    cr_assert_eq(mg_map_file(scratch_path("a"), &map, NULL), MG_OK);
    cr_assert(map.size == size && !memcmp(map.bytes, bytes, size));
    mg_unmap_file(&map);
    char *text = malloc(2000);
    memset(text, 'x', 1999);
    text[1999] = 0;
    f = mg_atomic_open(scratch_path("a"), NULL);
    cr_assert_eq(mg_atomic_printf(f, "%s", text), MG_OK);
    cr_assert_eq(mg_atomic_commit(f, NULL), MG_OK);
    back = slurp(scratch_path("a"), &size);
    cr_assert(size == 1999 && !memcmp(back, text, size));
    free(back);
    free(text);
    free(bytes);
}

/* A limit on the file size makes write() take a part and then fail, as a full disk does. */
Test(atomic, short_write_is_reported) {
    const char *path = scratch_path("a");
    cr_assert_eq(mg_atomic_write_file(path, "old", 3, NULL), MG_OK);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 100000;
    setrlimit(RLIMIT_FSIZE, &limit);
    mg_error err = {0};
    static const char zeros[150000];
    mg_atomic_file *f = mg_atomic_open(path, &err);
    cr_assert_eq(mg_atomic_write(f, zeros, sizeof zeros), MG_ERR_IO);
    cr_assert_eq(mg_atomic_write(f, "x", 1), MG_ERR_IO, "the failure must stick");
    cr_assert_eq(mg_atomic_commit(f, &err), MG_ERR_IO);
    limit.rlim_cur = before;
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_assert(strstr(err.message, "cannot write") && strstr(err.message, "too large"), "%s",
              err.message);
    cr_assert(holds(path, "old"));
    cr_assert_eq(scratch_count(), 1, "the temporary file must be gone");
}

Test(atomic, keeps_links_and_permissions) {
    cr_assert_eq(mg_atomic_write_file(scratch_path("real"), "old", 3, NULL), MG_OK);
    chmod(scratch_path("real"), 0640);
    cr_assert_eq(symlink("real", scratch_path("link")), 0);
    cr_assert_eq(mg_atomic_write_file(scratch_path("link"), "new", 3, NULL), MG_OK);
    struct stat info;
    cr_assert(!lstat(scratch_path("link"), &info) && S_ISLNK(info.st_mode));
    cr_assert(!stat(scratch_path("real"), &info) && (info.st_mode & 0777) == 0640);
    cr_assert(holds(scratch_path("real"), "new"));
}

Test(atomic, refuses) {
    mg_error err = {0};
    char folder[600], missing[700];
    snprintf(folder, sizeof folder, "%s", scratch_path("folder"));
    snprintf(missing, sizeof missing, "%s/none/a", folder);
    cr_assert_eq(mkdir(folder, 0777), 0);
    cr_assert_null(mg_atomic_open(folder, &err));
    cr_assert(strstr(err.message, "is a directory"), "%s", err.message);
    mg_error_clear(&err);
    cr_assert_null(mg_atomic_open("/dev/null", &err));
    cr_assert(strstr(err.message, "not a regular file"), "%s", err.message);
    mg_error_clear(&err);
    cr_assert_eq(mg_atomic_write_file(missing, "x", 1, &err), MG_ERR_IO);
    cr_assert(strstr(err.message, "none/a") && strstr(err.message, "No such file"), "%s",
              err.message);
    mg_error_clear(&err);
    mg_mapped_file map;
    cr_assert_eq(mg_map_file(folder, &map, &err), MG_ERR_IO);
    cr_assert(strstr(err.message, "is a directory"), "%s", err.message);
}

/* A killed process leaves its temporary file; a living one's must stay, and so must other files. */
Test(atomic, leftovers_of_the_dead_go) {
    char name[64];
    pid_t child = fork();
    if (child == 0) {
        mg_atomic_file *f = mg_atomic_open(scratch_path("a"), NULL);
        _exit(f && mg_atomic_write(f, "half", 4) == MG_OK ? 0 : 1);
    }
    int status = 1;
    cr_assert(waitpid(child, &status, 0) == child && status == 0);
    mg_atomic_file *mine = mg_atomic_open(scratch_path("b"), NULL);
    snprintf(name, sizeof name, ".a.%ld-x.tmp", (long)child);
    scratch_text(name, "no name of ours");
    scratch_text(".tmp", "nor this");
    cr_assert_eq(scratch_count(), 4);
    char folder[600];
    snprintf(folder, sizeof folder, "%s/.", scratch_path("a"));
    cr_assert_eq(mg_atomic_remove_leftovers(folder), 0, "no such folder");
    cr_assert_eq(mg_atomic_remove_leftovers(scratch_path(".")), 1);
    cr_assert_eq(scratch_count(), 3);
    cr_assert_eq(mg_atomic_commit(mine, NULL), MG_OK);
}

/* The owner may have a number of another container: its lock says that it lives. */
Test(atomic, a_locked_temporary_is_alive) {
    char name[64];
    pid_t gone = fork();
    if (gone == 0) _exit(0);
    cr_assert_eq(waitpid(gone, NULL, 0), gone);
    snprintf(name, sizeof name, ".a.%ld-1.tmp", (long)gone);
    scratch_text(name, "being written elsewhere");
    int fd = open(scratch_path(name), O_RDONLY | O_CLOEXEC);
    cr_assert_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
    cr_assert_eq(mg_atomic_remove_leftovers(scratch_path(".")), 0);
    close(fd);
    cr_assert_eq(mg_atomic_remove_leftovers(scratch_path(".")), 1);
    mg_atomic_file *mine = mg_atomic_open(scratch_path("b"), NULL);
    int locked = 0;
    for (unsigned i = 0; i < 8; i++) { /* ours are locked */
        snprintf(name, sizeof name, ".b.%ld-%u.tmp", (long)getpid(), i);
        fd = open(scratch_path("%s", name), O_RDONLY | O_CLOEXEC);
        locked += fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
        if (fd >= 0) close(fd);
    }
    cr_assert_eq(locked, 1);
    mg_atomic_abandon(mine);
}

/* Process numbers come again: the leftover of a namesake must not stop a write. */
Test(atomic, a_taken_name_is_passed_over) {
    char name[64];
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, ".a.%ld-%d.tmp", (long)getpid(), i);
        scratch_text(name, "taken");
    }
    cr_assert_eq(mg_atomic_write_file(scratch_path("a"), "x", 1, NULL), MG_OK);
    cr_assert(holds(scratch_path("a"), "x"));
}
