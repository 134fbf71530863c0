#define _DEFAULT_SOURCE /* flock: its lock excludes two openings in one process too */
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_MODE = 0777, FILE_MODE = 0666 }; /* less the umask */

/* The error for a call that just failed; reads errno. */
static il_status failed(il_error *err, const char *path, const char *what)
{
    il_status code = errno == ENOMEM ? IL_ERR_MEMORY : IL_ERR_IO;

    return il_error_set(err, code, path, "cannot %s: %s", what, strerror(errno));
}

static il_status out_of_memory(il_error *err, const char *path)
{
    return il_error_set(err, IL_ERR_MEMORY, path, "out of memory");
}

il_status il_file_read(const char *path, size_t limit, char **data, size_t *size,
                       il_error *err)
{
    il_status status = IL_OK;
    struct stat info;
    char *buffer = NULL;
    size_t room;
    size_t used = 0;
    /* Not blocking, so that a pipe is refused below and not waited for here. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return failed(err, path, "open");
    }
    if (fstat(fd, &info) != 0) {
        status = failed(err, path, "read");
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        status = il_error_set(err, IL_ERR_INPUT, path, "expected a regular file");
        goto out;
    }
    if ((uint64_t)info.st_size > limit) {
        status = il_error_set(err, IL_ERR_INPUT, path,
                              "expected at most %zu bytes, got %lld", limit,
                              (long long)info.st_size);
        goto out;
    }
    room = (size_t)info.st_size;
    buffer = malloc(room + 1);
    if (buffer == NULL) {
        status = out_of_memory(err, path);
        goto out;
    }
    while (used < room) {
        ssize_t got = read(fd, buffer + used, room - used);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = failed(err, path, "read");
            goto out;
        }
        if (got == 0) {
            break; /* cut shorter since fstat: what is there is what was read */
        }
        used += (size_t)got;
    }
    buffer[used] = '\0';
    *data = buffer;
    *size = used;
    buffer = NULL;
out:
    free(buffer);
    (void)close(fd); /* nothing was written */
    return status;
}

/* Writes all of it, or fails with errno set. */
static bool write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, data, size);

        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return false;
        }
        data += put;
        size -= (size_t)put;
    }
    return true;
}

/* A rename lasts over a power cut only when the folder it happened in is synced. */
static bool folder_sync(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done;

    if (fd < 0) {
        return false;
    }
    /* EINVAL: a file system that cannot sync folders. There is nothing more to do
     * there. */
    done = fsync(fd) == 0 || errno == EINVAL;
    (void)close(fd);
    return done;
}

/* All parts, on disk. False with errno set. */
static bool write_parts(int fd, const il_file_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!write_all(fd, parts[i].data, parts[i].size)) {
            return false;
        }
    }
    return fsync(fd) == 0;
}

il_status il_file_write(const char *path, const void *data, size_t size, il_error *err)
{
    const il_file_part part = {data, size};

    return il_file_write_parts(path, &part, 1, err);
}

il_status il_file_write_parts(const char *path, const il_file_part *parts, size_t count,
                              il_error *err)
{
    il_status status = IL_OK;
    char *folder = il_path_folder(path);
    size_t room = strlen(path) + 32;
    char *temporary = malloc(room);
    bool made = false;
    int fd = -1;

    if (folder == NULL || temporary == NULL) {
        status = out_of_memory(err, path);
        goto out;
    }
    /* Two threads or processes that write one path each take a name of their own. */
    for (unsigned try = 0; fd < 0; try++) {
        (void)snprintf(temporary, room, "%s.%ld-%u.tmp", path, (long)getpid(), try);
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
        if (fd < 0 && (errno != EEXIST || try >= 1000)) {
            status = failed(err, path, "write");
            goto out;
        }
    }
    made = true;
    if (!write_parts(fd, parts, count)) {
        status = failed(err, path, "write");
        goto out;
    }
    if (close(fd) != 0) {
        fd = -1;
        status = failed(err, path, "write");
        goto out;
    }
    fd = -1;
    if (rename(temporary, path) != 0) {
        status = failed(err, path, "replace");
        goto out;
    }
    made = false;
    if (!folder_sync(folder)) {
        status = failed(err, folder, "sync the folder");
    }
out:
    if (fd >= 0) {
        (void)close(fd); /* the write has failed already */
    }
    if (made) {
        (void)unlink(temporary); /* likewise; the old file is untouched */
    }
    free(temporary);
    free(folder);
    return status;
}

il_status il_file_append(const char *path, const void *data, size_t size, il_error *err)
{
    il_status status = IL_OK;
    ssize_t put;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, FILE_MODE);

    if (fd < 0) {
        return failed(err, path, "append");
    }
    do {
        put = write(fd, data, size);
    } while (put < 0 && errno == EINTR);
    if (put < 0) {
        status = failed(err, path, "append");
    } else if ((size_t)put < size) {
        status = il_error_set(err, IL_ERR_IO, path,
                              "cannot append: expected to write %zu bytes, got %zd",
                              size, put);
    }
    if (close(fd) != 0 && status == IL_OK) {
        status = failed(err, path, "append");
    }
    return status;
}

bool il_file_exists(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0;
}

/* One folder whose parent exists. */
static il_status folder_make_one(const char *path, il_error *err)
{
    struct stat info;
    int code;

    if (mkdir(path, FOLDER_MODE) == 0) {
        return IL_OK;
    }
    code = errno;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        return IL_OK;
    }
    errno = code == EEXIST ? ENOTDIR : code;
    return failed(err, path, "make the folder");
}

il_status il_folder_make(const char *path, il_error *err)
{
    char *copy = strdup(path);
    il_status status = IL_OK;

    if (copy == NULL) {
        return out_of_memory(err, path);
    }
    for (char *p = copy; *p != '\0' && status == IL_OK; p++) {
        if (*p == '/' && p != copy && p[-1] != '/') {
            *p = '\0';
            status = folder_make_one(copy, err);
            *p = '/';
        }
    }
    if (status == IL_OK) {
        status = folder_make_one(copy, err);
    }
    free(copy);
    return status;
}

/* Everything in an open folder, which is closed here. Works on descriptors, so that a
 * folder swapped for a link meanwhile leads nowhere else. */
static il_status folder_empty(int fd, const char *path, il_error *err)
{
    il_status status = IL_OK;
    DIR *dir = fdopendir(fd);
    struct dirent *entry;

    if (dir == NULL) {
        status = failed(err, path, "remove");
        (void)close(fd);
        return status;
    }
    while (status == IL_OK && (errno = 0, entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        int below;

        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
            continue;
        }
        if (unlinkat(fd, name, 0) == 0 || errno == ENOENT) {
            continue;
        }
        if (errno != EISDIR &&
            errno != EPERM) { /* what Linux and POSIX say of folders */
            status = failed(err, path, "remove from the folder");
            break;
        }
        below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0) {
            status = failed(err, path, "remove from the folder");
            break;
        }
        status = folder_empty(below, path, err);
        if (status == IL_OK && unlinkat(fd, name, AT_REMOVEDIR) != 0) {
            status = failed(err, path, "remove from the folder");
        }
    }
    if (status == IL_OK && errno != 0) {
        status = failed(err, path, "read the folder");
    }
    (void)closedir(dir);
    return status;
}

il_status il_folder_remove(const char *path, il_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT ? IL_OK : failed(err, path, "remove the folder");
    }
    IL_TRY(folder_empty(fd, path, err));
    if (rmdir(path) != 0 && errno != ENOENT) {
        return failed(err, path, "remove the folder");
    }
    return IL_OK;
}

static int name_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a folder, without the two dots, in the order the system gives them. */
static il_status folder_names(DIR *dir, const char *path, char ***names, size_t *count,
                              il_error *err)
{
    struct dirent *entry;
    size_t room = 0;

    while ((errno = 0, entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (*count == room) {
            size_t more = room == 0 ? 16 : 2 * room;
            char **grown = realloc(*names, more * sizeof *grown);

            if (grown == NULL) {
                return out_of_memory(err, path);
            }
            *names = grown;
            room = more;
        }
        (*names)[*count] = strdup(entry->d_name);
        if ((*names)[*count] == NULL) {
            return out_of_memory(err, path);
        }
        (*count)++;
    }
    return errno == 0 ? IL_OK : failed(err, path, "read the folder");
}

il_status
il_folder_list(const char *path,
               il_status (*visit)(void *user, const char *name, il_error *err),
               void *user, il_error *err)
{
    il_status status;
    char **names = NULL;
    size_t count = 0;
    DIR *dir = opendir(path);

    if (dir == NULL) {
        return failed(err, path, "read the folder");
    }
    status = folder_names(dir, path, &names, &count, err);
    (void)closedir(dir);
    if (status == IL_OK && count > 1) {
        qsort(names, count, sizeof *names, name_compare);
    }
    for (size_t i = 0; i < count; i++) {
        if (status == IL_OK) {
            status = visit(user, names[i], err);
        }
        free(names[i]);
    }
    free(names);
    return status;
}

char *il_path_join(const char *folder, const char *name)
{
    size_t length = strlen(folder);
    bool bare = name[0] == '/' || length == 0;
    const char *slash = bare || folder[length - 1] == '/' ? "" : "/";
    size_t room = length + strlen(name) + 2;
    char *path = malloc(room);

    if (path != NULL) {
        (void)snprintf(path, room, "%s%s%s", bare ? "" : folder, slash, name);
    }
    return path;
}

char *il_path_folder(const char *path)
{
    size_t end = strlen(path);
    char *folder;

    while (end > 1 && path[end - 1] == '/') {
        end--; /* "a/b/" lies in "a", as "a/b" does */
    }
    while (end > 0 && path[end - 1] != '/') {
        end--;
    }
    if (end == 0) {
        return strdup(".");
    }
    while (end > 1 && path[end - 1] == '/') {
        end--;
    }
    folder = malloc(end + 1);
    if (folder != NULL) {
        memcpy(folder, path, end);
        folder[end] = '\0';
    }
    return folder;
}

il_status il_file_lock(const char *path, bool wait, int *fd, il_error *err)
{
    il_status status;
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    int code;

    if (opened < 0) {
        return failed(err, path, "open the lock");
    }
    do {
        code = flock(opened, wait ? LOCK_EX : LOCK_EX | LOCK_NB);
    } while (code != 0 && errno == EINTR);
    if (code == 0) {
        *fd = opened;
        return IL_OK;
    }
    status = errno == EWOULDBLOCK
                 ? il_error_set(err, IL_ERR_IO, path, "the lock is held by another run")
                 : failed(err, path, "lock");
    (void)close(opened);
    return status;
}

void il_file_unlock(int fd)
{
    (void)close(fd); /* which lets go of the lock; the file stays for the next run */
}
