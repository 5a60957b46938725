/* SPDX-License-Identifier: Apache-2.0 */
/* file_disk - what file_store does, waiting for the disk: for its threads alone.
 *
 * Everything may be called from several threads, and by several processes on one
 * folder: who takes an object's place does so under a lock of the hidden folder. Names
 * are of objects (file_name.h). Errors are those of object_store.h, with the sentence.
 */
#pragma once

#include <stdatomic.h>
#include <sys/stat.h>

#include "cloud/object_store.h"

struct file_disk {
    char *folder;
    bool is_relaxed;
};

/* What a job is stopped by, from another thread; it ends with -ECANCELED then. */
typedef atomic_bool file_stop;

int file_disk_init(struct file_disk *d, const char *folder, const char *prefix,
                   bool is_relaxed);
/* The hidden folder goes too, when nothing is left in it. */
void file_disk_release(struct file_disk *d);

/* What is there, open for reading; or NULL in place of ret_fd. */
int file_disk_open(const struct file_disk *d, const char *name, int *ret_fd,
                   struct object_about *ret_about, struct error *ret_error);
/* What an open file is now: whether it is still the one it was. */
int file_disk_about(int fd, struct object_about *ret_about);

int file_disk_put(const struct file_disk *d, const struct object_put *put,
                  const file_stop *stop, struct object_about *ret_about,
                  struct error *ret_error);
int file_disk_remove(const struct file_disk *d, const char *name,
                     struct error *ret_error);

/* ---- uploads in parts ---- */

enum { FILE_UPLOAD_ID_SIZE = 33 };

int file_disk_begin(const struct file_disk *d, char ret_upload[FILE_UPLOAD_ID_SIZE],
                    struct error *ret_error);
int file_disk_part(const struct file_disk *d, const struct object_upload *part,
                   const file_stop *stop, struct object_part *ret_part,
                   struct error *ret_error);
/* Sorted by number; the caller frees them. */
int file_disk_parts(const struct file_disk *d, const char *upload,
                    struct object_part **ret_parts, size_t *ret_n,
                    struct error *ret_error);
int file_disk_finish(const struct file_disk *d, const struct object_upload *upload,
                     struct object_about *ret_about, struct error *ret_error);
int file_disk_abort(const struct file_disk *d, const char *upload,
                    struct error *ret_error);

/* ---- for the files of file_disk alone ---- */

void file_disk_tell(const struct stat *st, struct object_about *ret);

/* -EIO for most, with the path and what to do. */
int file_disk_failed(const struct file_disk *d, int code, const char *doing,
                     const char *what, struct error *ret_error);
/* The folder; with is_made it is made. -ENOENT. */
int file_disk_root(const struct file_disk *d, bool is_made, int *ret_fd,
                   struct error *ret_error);
int file_disk_hidden(const struct file_disk *d, bool is_made, int *ret_fd,
                     struct error *ret_error);
int file_disk_write(int fd, uint64_t at, const struct http_body *body,
                    const uint8_t *sha256, const file_stop *stop,
                    struct error *ret_error);
/* The file `from` in the folder `dir` takes the place of the object. */
struct file_place {
    int dir; /* descriptor of a folder in the hidden one */
    const char *from, *name;
    bool is_if_absent;
    const char *if_match;
};
int file_disk_publish(const struct file_disk *d, const struct file_place *place,
                      struct object_about *ret_about, struct error *ret_error);
