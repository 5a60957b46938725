/* SPDX-License-Identifier: Apache-2.0 */
/* From the events of libyaml to the tree. The event interface, because a document API
 * would build any nesting before it could be refused. */
#include "flow/builder.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

static struct place place_of(const yaml_event_t *e)
{
    struct place at = { (uint32_t)e->start_mark.line + 1,
                        (uint32_t)e->start_mark.column + 1, 0 };

    if (e->end_mark.line == e->start_mark.line)
        at.width = (uint32_t)(e->end_mark.column - e->start_mark.column);
    return at;
}

/* The one mistake that libyaml has no word for. */
static bool is_tab(const yaml_parser_t *parser)
{
    return parser->error == YAML_SCANNER_ERROR
           && parser->problem_mark.index == parser->mark.index
           && parser->buffer.pointer < parser->buffer.last
           && *parser->buffer.pointer == '\t';
}

static void refuse_syntax(struct builder *b, const yaml_parser_t *parser)
{
    struct place at = { (uint32_t)parser->problem_mark.line + 1,
                        (uint32_t)parser->problem_mark.column + 1, 1 };
    const char *problem = parser->problem ? parser->problem : "it cannot be read";

    if (parser->error == YAML_MEMORY_ERROR)
        b->error = -ENOMEM;
    else if (parser->error == YAML_READER_ERROR)
        builder_refuse(b, (struct place){ 0 }, NULL, "YAML: %s", problem);
    else if (is_tab(parser))
        builder_refuse(b, at, "YAML indents with blanks", "YAML: a tab is in the way");
    else if (parser->context)
        builder_refuse(b, at, NULL, "YAML: %s, %s", problem, parser->context);
    else
        builder_refuse(b, at, NULL, "YAML: %s", problem);
}

static void refuse_extras(struct builder *b, struct place at, const yaml_char_t *anchor,
                          const yaml_char_t *tag)
{
    if (anchor)
        builder_refuse(b, at, "write the value where it is used",
                       "anchors are not supported");
    else if (tag)
        builder_refuse(b, at, "quote what shall be a text", "tags are not supported");
}

static void on_scalar(struct builder *b, const yaml_event_t *e)
{
    struct place at = place_of(e);
    bool is_plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    refuse_extras(b, at, e->data.scalar.anchor, e->data.scalar.tag);
    if (!b->error)
        builder_scalar(b, (const char *)e->data.scalar.value, e->data.scalar.length,
                       is_plain, at);
}

static void on_event(struct builder *b, const yaml_event_t *e)
{
    struct place at = place_of(e);

    switch (e->type) {
    case YAML_ALIAS_EVENT:
        builder_refuse(b, at, "write the value where it is used",
                       "aliases are not supported");
        break;
    case YAML_SCALAR_EVENT:
        on_scalar(b, e);
        break;
    case YAML_SEQUENCE_START_EVENT:
        refuse_extras(b, at, e->data.sequence_start.anchor, e->data.sequence_start.tag);
        if (!b->error)
            builder_open(b, VALUE_SEQUENCE, at);
        break;
    case YAML_MAPPING_START_EVENT:
        refuse_extras(b, at, e->data.mapping_start.anchor, e->data.mapping_start.tag);
        if (!b->error)
            builder_open(b, VALUE_MAPPING, at);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        builder_close(b, (uint32_t)e->end_mark.line + 1,
                      (uint32_t)e->end_mark.column + 1);
        break;
    case YAML_DOCUMENT_START_EVENT:
        if (b->doc->root)
            builder_refuse(b, at, NULL, "a flow file is one document");
        break;
    default:
        break;
    }
}

void builder_read_yaml(struct builder *b)
{
    yaml_parser_t parser;
    bool is_done = false;

    if (!yaml_parser_initialize(&parser)) {
        b->error = -ENOMEM;
        return;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)b->doc->text,
                                 b->doc->len);
    while (!is_done && !b->error) {
        yaml_event_t event;

        if (!yaml_parser_parse(&parser, &event)) {
            refuse_syntax(b, &parser);
            break;
        }
        is_done = event.type == YAML_STREAM_END_EVENT;
        on_event(b, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (!b->error && !b->doc->root)
        builder_refuse(b, (struct place){ 1, 1, 0 }, "a flow begins with `mesh: 1`",
                       "the file is empty");
}
