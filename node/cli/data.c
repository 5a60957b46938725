/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/data.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "node/cli/conf_file.h"
#include "node/module.h"

static const struct option_spec data_options[] = {
    { "recursive", 'r', NULL, "folders too, with all that is below" },
    { "delete", 0, NULL, "sync: remove from TO what FROM has not" },
    { "dry-run", 'n', NULL, "sync, rm: only tell what would be done" },
    { "if-absent", 0, NULL, "put, get: fail where something is there already" },
    { "jobs", 'j', "N", "requests at once (else $METAFLOW_S3_WORKER_COUNT, 32)" },
    { "json", 0, NULL, "print a line of JSON for each object" },
    { "config", 0, "FILE", "read this (else DIR/mesh.conf, /etc/mesh/mesh.conf)" },
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

/* ---- the module ---- */

static void on_interrupt(uv_signal_t *signal, int number)
{
    struct data *d = signal->data;

    (void)number;
    d->is_interrupted = true;
    uv_signal_stop(signal); /* the next one ends the process */
}

int data_open(const struct options *o, struct data *d)
{
    struct cloud_options cloud = { .is_relaxed = true };
    struct error error = { .text = "" };
    uint64_t jobs;
    int r;

    *d = (struct data){ .options = o, .is_json = options_has(o, "json") };
    if (options_number(o, "jobs", 1024, &jobs, &error) < 0)
        return cli_usage("data: %s", error.text);
    d->dir = cli_data_dir(o);
    r = d->dir ? conf_file_open(o, d->dir, &d->conf) : CLI_NO_NODE;
    if (r)
        return r;
    d->m = module_load("mesh-cloud.so", "mesh_cloud_module", &error);
    if (!d->m)
        return cli_failed(-ENOENT, &error);
    uv_loop_init(&d->loop);
    uv_signal_init(&d->loop, &d->interrupt);
    d->interrupt.data = d;
    uv_signal_start(&d->interrupt, on_interrupt, SIGINT);
    uv_unref((uv_handle_t *)&d->interrupt);
    cloud.conf = &d->conf->datastore;
    cloud.calls_max = (uint32_t)jobs;
    r = d->m->open(&d->loop, &cloud, &d->cloud, &error);
    return r == -EINVAL ? cli_usage("%s", error.text)
           : r < 0      ? cli_failed(r, &error)
                        : 0;
}

void data_close(struct data *d)
{
    if (d->m) {
        d->m->close(d->cloud);
        uv_close((uv_handle_t *)&d->interrupt, NULL);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        uv_loop_close(&d->loop);
    }
    conf_unref(d->conf);
    free(d->dir);
}

void data_turn(struct data *d)
{
    uv_run(&d->loop, UV_RUN_ONCE);
}

int data_failed(int status, const char *what, const struct error *error)
{
    cli_say("%s: %s", what, error->text[0] ? error->text : strerror(-status));
    return status == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
}

/* ---- operands ---- */

static bool is_local_folder(const struct store_address *a, const struct data *d)
{
    CLEANUP(buffer_release) struct buffer path = BUFFER_INIT;
    struct stat st;

    return a->kind == STORE_FILE && d->m->address_text(a, a->key, &path) == 0
           && stat(path.data, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A folder of this machine is the store's whole, so that nothing beside it is read. */
static int make_folder(const struct data *d, struct data_place *p)
{
    struct store_address *a = &p->address;
    CLEANUP(buffer_release) struct buffer path = BUFFER_INIT;
    char *empty = strdup("");

    if (!empty || d->m->address_text(a, a->key, &path) < 0) {
        free(empty);
        return -ENOMEM;
    }
    free(a->bucket);
    free(a->key);
    a->key = empty;
    a->bucket = buffer_take(&path);
    p->is_folder = true;
    return a->bucket ? 0 : -ENOMEM;
}

int data_place_open(struct data *d, const char *text, struct data_place *ret)
{
    struct data_place p = { .store = NULL };
    struct error error = { .text = "" };
    size_t len = strlen(text);
    int r = d->m->parse(d->cloud, text, &p.address, &error);

    if (r == -ENOENT || r == -EINVAL)
        return cli_usage("%s", error.text);
    if (r < 0)
        return cli_failed(r, &error);
    p.is_folder = !p.address.key[0] || p.address.key[strlen(p.address.key) - 1] == '/';
    p.is_mirror = len && text[len - 1] == '/';
    if (is_local_folder(&p.address, d))
        r = make_folder(d, &p);
    if (r == 0)
        r = d->m->store(d->cloud, &p.address, &p.store, &error);
    if (r == 0) {
        *ret = p;
        return 0;
    }
    data_place_release(d, &p);
    return r == -EINVAL ? cli_usage("%s", error.text) : cli_failed(r, &error);
}

void data_place_release(struct data *d, struct data_place *p)
{
    if (d->m)
        d->m->release_address(&p->address);
}

/* ---- the verb ---- */

static int data(const struct options *o)
{
    static const struct {
        const char *name;
        int (*run)(struct data *d);
        size_t least;
    } actions[] = { { "put", data_put, 3 },
                    { "get", data_get, 2 },
                    { "ls", data_list, 1 },
                    { "rm", data_remove, 2 },
                    { "sync", data_sync, 3 } };
    CLEANUP(data_close) struct data d = { .m = NULL };

    for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
        int r;

        if (strcmp(o->operands[0], actions[i].name) != 0)
            continue;
        if (o->n_operands < actions[i].least) {
            cli_say("data %s: something is missing", actions[i].name);
            cli_hint("all about it: mesh data --help");
            return CLI_USAGE;
        }
        r = data_open(o, &d);
        return r ? r : actions[i].run(&d);
    }
    cli_say("data: say what: put, get, ls, rm or sync, not '%.80s'", o->operands[0]);
    cli_hint("all about it: mesh data --help");
    return CLI_USAGE;
}

const struct command command_data = {
    .name = "data",
    .synopsis = "put FILE ... ADDRESS\n"
                "get ADDRESS ... [FILE]\n"
                "ls [ADDRESS] [-r]\n"
                "sync FROM TO [--delete]\n"
                "rm ADDRESS ... [-r]",
    .summary = "copy, list and remove objects in S3, Azure, GCS and folders",
    .about =
        "ADDRESS says where:\n"
        "\n"
        "  s3://BUCKET/KEY                also MinIO and others: "
        "$METAFLOW_S3_ENDPOINT_URL\n"
        "  gs://BUCKET/KEY                Google Cloud Storage\n"
        "  azure://ACCOUNT/CONTAINER/KEY  Azure Blob Storage; its https:// form too\n"
        "  file:///PATH or a path         files of this machine\n"
        "  datastore:KEY                  below the root that mesh.conf or\n"
        "                                 $METAFLOW_DEFAULT_DATASTORE says\n"
        "\n"
        "put and get copy from any of them to any other. An ADDRESS that ends with /\n"
        "is a folder: files keep their names in it. With -r folders are copied too;\n"
        "`DIR/` is what is in it, `DIR` is the folder itself.\n"
        "\n"
        "sync copies what is not there, has another size or is newer. Large files go "
        "in\n"
        "parts; when it was cut off, the same command goes on with the parts that are\n"
        "missing. What is to be read appears at its place whole or not at all.\n"
        "\n"
        "Keys come from where the tools of each cloud have them: docs/stores.md.",
    .options = data_options,
    .examples = "mesh data put model.bin s3://lab/models/\n"
                "mesh data get s3://lab/models/model.bin .\n"
                "mesh data get -r gs://lab/images/ images/\n"
                "mesh data ls -r azure://acct/box/results/\n"
                "mesh data sync results s3://lab/results --delete --dry-run",
    .exits = EXITS_REFUSED | EXITS_OBJECTS,
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .run = data,
};
