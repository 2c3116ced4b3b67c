// The record of a request: begun when it is handed to its endpoint, written down when it has ended.
#pragma once
#include <memory>
#include <string_view>

#include "router/endpoints/context.h"

namespace bessemer {

// Goes on with the client's trace where it brought a valid one (a single traceparent header), else
// begins one where traces are collected; the client hears of it by `traceresponse`.
std::shared_ptr<RequestRecord> begin_record(const RouterContext& router, CoreContext& core,
                                            Exchange& exchange, std::string_view front,
                                            std::string_view endpoint);

// Closes the record; into the access log, and to the collector if it is sampled.
void write_down(const RouterContext& router, RequestRecord& record, int status,
                const RecordedTokens& tokens);

// A request that a front itself has refused, before it was one for an endpoint.
void write_down_refusal(const RouterContext& router, std::string_view front, const ApiError& error);

}  // namespace bessemer
