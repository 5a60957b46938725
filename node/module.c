/* SPDX-License-Identifier: Apache-2.0 */
#include "node/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The folder of the program. */
static void own_folder(char ret[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", ret, PATH_MAX - 1);
    char *slash;

    ret[n > 0 ? n : 0] = '\0';
    slash = strrchr(ret, '/');
    if (slash)
        *slash = '\0';
}

const void *module_load(const char *file, const char *symbol, struct error *ret_error)
{
    static const char *const folders[] = { "", "/../lib/mesh" };
    char folder[PATH_MAX];
    const void *found;

    own_folder(folder);
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
        CLEANUP(freep) char *path = NULL;
        void *module;

        if (asprintf(&path, "%s%s/%s", folder, folders[i], file) < 0) {
            path = NULL;
            return NULL;
        }
        if (access(path, R_OK) < 0)
            continue;
        module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        found = module ? dlsym(module, symbol) : NULL;
        if (!found)
            fail(ret_error, -ENOEXEC, "%s cannot be loaded: %s", file, dlerror());
        return found;
    }
    fail(ret_error, -ENOENT, "%s does not lie beside the program", file);
    return NULL;
}
