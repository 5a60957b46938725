/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/order.h"

static const struct option_spec resume_options[] = {
    { "code", 0, "WHICH", "`now`: the files as they are; `same`: as they were then" },
    { "flow", 0, "FILE", "the flow file, when it is not where it was" },
    OPTIONS_OF_GOING_ON,
};

/* What is known of the run that is resumed, from the store or from its node. */
struct before {
    struct run_id id;
    uint64_t number;
    char *path, *text;
    size_t text_len;
    struct digest package;
    struct record_parameter *parameters;
    size_t n_parameters;
    enum run_outcome outcome; /* 0: it has no end */
    struct runtime *rt;       /* one of the two */
    struct client *client;
};

static void before_release(struct before *b)
{
    free(b->path);
    free(b->text);
    for (size_t i = 0; i < b->n_parameters; i++) {
        free(b->parameters[i].name);
        free(b->parameters[i].value);
    }
    free(b->parameters);
}

static int say_no_run(const char *name, int r)
{
    if (r == -ENOTUNIQ)
        cli_say("several runs have an id that begins with %.40s", name);
    else
        cli_say("there is no run %.40s", name);
    return CLI_NOT_FOUND;
}

static enum run_outcome outcome_from_store(const struct before *b)
{
    CLEANUP(run_end_record_release) struct run_end_record end = { .n_done = 0 };
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct record_key key = run_end_key(&b->id);

    if (writer_get(runtime_writer(b->rt), STORE_RECORDS,
                   (struct span){ key.bytes, key.len }, &bytes)
            < 0
        || run_end_record_decode(bytes.data, bytes.len, &end) < 0)
        return 0;
    return end.outcome;
}

static int before_from_store(struct before *b, const char *name)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct record_key key;
    int r = runtime_find_run(b->rt, name, &b->id);

    if (r < 0)
        return say_no_run(name, r);
    key = run_key(&b->id);
    r = writer_get(runtime_writer(b->rt), STORE_RECORDS,
                   (struct span){ key.bytes, key.len }, &bytes);
    if (r == 0)
        r = run_record_decode(bytes.data, bytes.len, &record);
    if (r < 0)
        return cli_failed(r, NULL);
    b->number = record.number;
    b->package = record.package;
    b->path = TAKE(record.flow_path);
    b->text = TAKE(record.flow_text);
    b->text_len = record.flow_text_len;
    b->parameters = TAKE(record.parameters);
    b->n_parameters = record.n_parameters;
    record.n_parameters = 0;
    b->outcome = outcome_from_store(b);
    return 0;
}

static int take_parameters(struct before *b, const json_t *list)
{
    const json_t *p;
    size_t i;

    b->parameters = calloc(json_array_size(list) + 1, sizeof(*b->parameters));
    if (!b->parameters)
        return -ENOMEM;
    json_array_foreach(list, i, p)
    {
        struct record_parameter *to = &b->parameters[b->n_parameters++];

        to->name = strdup(json_text(p, "name"));
        to->value = strdup(json_text(p, "value"));
        to->is_secret = json_is_true(json_object_get(p, "secret"));
        if (!to->name || !to->value)
            return -ENOMEM;
    }
    return 0;
}

static int get_bytes(struct client *c, const char *path, struct answer *ret)
{
    struct error error = { .text = "" };
    int r = path ? client_request(c, &(struct request){ .method = "GET", .path = path },
                                  ret, &error)
                 : -ENOMEM;

    if (r < 0)
        return client_lost(r, &error);
    return ret->status >= 300 ? client_refused(ret) : 0;
}

static int before_from_node(struct before *b, const char *name)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", name);
    CLEANUP(freep) char *flow_path = client_path("/v1/runs/%s/flow", name);
    CLEANUP(answer_release) struct answer flow = { .status = 0 };
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = client_get_json(b->client, path, &json);

    if (r == 0)
        r = get_bytes(b->client, flow_path, &flow);
    if (r)
        return r;
    b->number = json_number(json, "number");
    b->outcome = strcmp(json_text(json, "outcome"), "ok") == 0 ? RUN_OK : 0;
    b->path = strdup(json_text(json, "path"));
    b->text_len = flow.body.len;
    b->text = buffer_take(&flow.body);
    if (!b->path || !b->text
        || take_parameters(b, json_object_get(json, "parameters")) < 0)
        return cli_failed(-ENOMEM, NULL);
    if (run_id_parse(json_text(json, "run"), &b->id) < 0
        || digest_parse(json_text(json, "package"), &b->package) < 0) {
        cli_say("the node's answer is not of this version");
        return CLI_FAILED;
    }
    return 0;
}

/* The content of a file parameter, whose record has its id. */
static int fetch_file(struct before *b, const char *id_text, char **ret_value)
{
    CLEANUP(freep) char *path = client_path("/v1/blobs/%s", id_text);
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct digest id;
    int r = digest_parse(id_text, &id);

    if (r == 0 && b->rt) {
        r = blobs_read(runtime_blobs(b->rt), &id, 0, UINT64_MAX, &a.body);
    } else if (r == 0) {
        r = get_bytes(b->client, path, &a);
        if (r)
            return r;
    }
    if (r < 0)
        return cli_failed(r, NULL);
    *ret_value = buffer_take(&a.body);
    return *ret_value ? 0 : cli_failed(-ENOMEM, NULL);
}

static bool has_parameter(const struct flow_file *file, const char *name,
                          const struct parameter **ret)
{
    for (size_t i = 0; i < file->flow->n_parameters; i++)
        if (strcmp(file->flow->parameters[i].name, name) == 0) {
            *ret = &file->flow->parameters[i];
            return true;
        }
    return false;
}

static const char *option_value(const struct options *o, const char *name)
{
    for (size_t i = 0; i < o->n_parameters; i++)
        if (strcmp(o->parameters[i].name, name) == 0)
            return o->parameters[i].value;
    return NULL;
}

/* The values of then; secrets, which were not kept, are asked for again. */
static int fill_parameters(struct before *b, struct flow_file *file,
                           const struct options *o)
{
    struct error error = { .text = "" };

    for (size_t i = 0; i < b->n_parameters; i++) {
        const struct record_parameter *was = &b->parameters[i];
        const char *given = option_value(o, was->name);
        const struct parameter *p;
        char *value = NULL;
        int r = 0;

        if (!has_parameter(file, was->name, &p))
            continue;
        if (was->is_secret && !given) {
            cli_say("secrets are not kept: give --%s @FILE again", was->name);
            return CLI_USAGE;
        }
        if (was->is_secret)
            r = flow_file_value(p, given, &value, &error);
        else if (p->type == PARAMETER_FILE)
            r = fetch_file(b, was->value, &value);
        else
            value = strdup(was->value);
        if (r > 0)
            return r;
        if (r < 0)
            return cli_usage("%s", error.text);
        if (flow_file_add_parameter(file, was->name, value) < 0)
            return cli_failed(-ENOMEM, NULL);
    }
    return 0;
}

static int check_options(const struct before *b, const struct options *o)
{
    for (size_t i = 0; i < o->n_parameters; i++) {
        bool is_secret = false;

        for (size_t k = 0; k < b->n_parameters; k++)
            is_secret =
                is_secret
                || (b->parameters[k].is_secret
                    && strcmp(b->parameters[k].name, o->parameters[i].name) == 0);
        if (!is_secret)
            return cli_usage("--%s: a resumed run has the parameters of run %" PRIu64
                             "; only its secrets are given again",
                             o->parameters[i].name, b->number);
    }
    return 0;
}

static int open_code(struct before *b, struct order *order, const struct options *o,
                     bool is_same, const char *dir)
{
    const char *path = options_text(o, "flow");
    int r;

    if (!path)
        path = b->path;
    if (is_same) {
        order->has_package = true;
        order->package = b->package;
        r = flow_file_read_text(path, TAKE(b->text), b->text_len, order->file);
    } else {
        r = flow_file_read(path, order->file);
        if (r && access(path, F_OK) < 0) {
            cli_hint("is it elsewhere now?        mesh resume %" PRIu64 " --flow FILE",
                     b->number);
            cli_hint("to use the code of then:    mesh resume %" PRIu64 " --code same",
                     b->number);
        }
    }
    if (r == 0 && !order->is_restored)
        r = fill_parameters(b, order->file, o);
    return r == 0 && !is_same ? flow_file_collect(order->file, dir) : r;
}

/* It was interrupted, and this node goes on with it: with its code, and as it is. */
static bool is_active(const struct before *b)
{
    struct run_view view;

    return node_run(runtime_node(b->rt), &b->id, &view);
}

static int prepare(struct before *b, struct order *order, const struct options *o,
                   const struct going_on *how, const char *dir)
{
    int r = b->rt ? before_from_store(b, how->run) : before_from_node(b, how->run);

    if (r == 0)
        r = check_options(b, o);
    if (r == 0 && how->is_retry && !how->step && b->outcome == RUN_OK) {
        cli_say("run %" PRIu64 " ended well: nothing is left to try again", b->number);
        cli_hint("to do a step and those behind it again: mesh retry %" PRIu64 "/STEP",
                 b->number);
        return CLI_FAILED;
    }
    order->is_restored = r == 0 && !how->step && b->rt && is_active(b);
    if (r == 0)
        r = open_code(b, order, o, how->is_same_code || order->is_restored, dir);
    order->has_origin = true;
    order->origin = b->id;
    order->origin_step = how->step;
    return r;
}

int order_go_on(const struct options *o, const struct going_on *how)
{
    CLEANUP(flow_file_release) struct flow_file file = { .path = NULL };
    CLEANUP(order_release) struct order order = { .file = &file, .clamp = true };
    CLEANUP(before_release) struct before b = { .rt = NULL };
    CLEANUP(freep) char *dir = cli_data_dir(o);
    int r = dir ? order_options(&order, o) : CLI_NO_NODE;

    if (r == 0)
        r = local_open(o, dir, NULL, &b.rt, &b.client, NULL);
    if (r)
        return r;
    r = prepare(&b, &order, o, how, dir);
    if (r == 0)
        return b.rt ? local_run(b.rt, &order, o) : remote_run(b.client, &order, o);
    runtime_close(b.rt);
    client_close(b.client);
    return r;
}

static int resume(const struct options *o)
{
    const char *code = options_text(o, "code");
    struct going_on how = { .run = o->operands[0],
                            .step = o->n_operands > 1 ? o->operands[1] : NULL,
                            .is_same_code = code && strcmp(code, "same") == 0 };

    if (code && !how.is_same_code && strcmp(code, "now") != 0)
        return cli_usage("--code must be now or same, not '%.80s'", code);
    return order_go_on(o, &how);
}

const struct command command_resume = {
    .name = "resume",
    .synopsis = "RUN [STEP]",
    .summary = "go on where a run failed",
    .about = "Starts a new run of the flow of RUN that takes over every finished task "
             "before\n"
             "the first failure, or before STEP, and does the rest with the code as it "
             "is in\n"
             "the folder now. The parameters are those of RUN; secrets, which are not "
             "kept,\n"
             "are given again.\n"
             "\n"
             "A run that was interrupted, because its node was killed, has not ended: "
             "without\n"
             "STEP it goes on itself, with the code of then.",
    .options = resume_options,
    .examples = "mesh resume 42\n"
                "mesh resume 42 fit               # from the step fit on\n"
                "mesh resume 42 --code same       # with the files of then",
    .exits = EXITS_RUN | EXITS_FLOW | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 2,
    .takes_parameters = true,
    .run = resume,
};
