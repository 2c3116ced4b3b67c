// The parts that the parsers of the single endpoints are made of. Each reads its fields, leaves
// them in `request` and keeps the first problem in `fields`.
#pragma once
#include "router/openai/fields.h"
#include "router/openai/valid_request.h"

namespace bessemer {

// `messages`, into request.messages: known roles, known fields, content joined to one text.
void read_messages(FieldReader& fields, ValidRequest& request);
// Everything that shapes the choice of tokens, and where it stops.
void read_sampling(FieldReader& fields, ValidRequest& request);
// n, stream, stream_options, prompt_logprobs, truncation, ids in the answer, user, cache_salt,
// priority: the same in both APIs.
void read_common(FieldReader& fields, ValidRequest& request);
// tools, tool_choice, parallel_tool_calls: checked as the API demands, then refused.
void read_tools(FieldReader& fields);
// response_format, structured_outputs and the older guided_*: checked, and refused unless they ask
// for plain text.
void read_output_format(FieldReader& fields);
// Parameters of OpenAI and vLLM that this server knows but does not offer; a value that asks for
// what happens anyway passes.
void refuse_unsupported(FieldReader& fields, ApiKind kind);

}  // namespace bessemer
