#include "router/text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bessemer {
namespace {

using testing::HasSubstr;

json::array chat(std::initializer_list<std::pair<const char*, const char*>> turns) {
  json::array messages;
  for (const auto& [role, content] : turns)
    messages.push_back({{"role", role}, {"content", content}});
  return messages;
}

StatusOr<std::string> render(std::string_view source, const ChatTemplateInput& input) {
  ASSIGN_OR_RETURN(const auto compiled, ChatTemplate::compile(source));
  return compiled->render(input);
}

constexpr std::string_view kPlain =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>\n{% endfor %}{% if "
    "add_generation_prompt %}<assistant>{% endif %}";
constexpr std::string_view kTrimming =
    "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>{% endfor %}";

TEST(ChatTemplate, PassesWhatTransformersPasses) {
  ChatTemplateInput input;
  input.messages = chat({{"user", "hi"}});
  input.bos_token = "<s>";
  input.eos_token = "</s>";
  EXPECT_EQ(*render("{{ bos_token }}{{ eos_token }}{{ messages | length }}{{ add_generation_prompt "
                    "}}{{ tools }}{{ documents }}"
                    "{{ tools is defined }}{{ enable_thinking is defined }}",
                    input),
            "<s></s>1TrueNoneNoneTrueFalse");
}

TEST(ChatTemplate, ExtraVariablesDoNotReplaceItsOwn) {
  ChatTemplateInput input;
  input.messages = chat({{"user", "hi"}});
  input.extra = {{"messages", "mine"}, {"bos_token", "mine"}, {"enable_thinking", false}};
  EXPECT_EQ(*render("{{ messages[0].content }}{{ bos_token }}{{ enable_thinking }}", input),
            "hiFalse");
}

TEST(ChatTemplate, ToolsAndDocuments) {
  ChatTemplateInput input;
  input.tools = json::array{{{"name", "f"}}};
  input.documents = json::array{{{"text", "d"}}};
  EXPECT_EQ(*render("{{ tools | tojson }}{{ documents[0].text }}", input), R"([{"name": "f"}]d)");
}

TEST(ChatTemplate, TimeIsAnInput) {
  ChatTemplateInput input;
  input.now_s = 1'700'000'000;
  EXPECT_EQ(*render("{{ strftime_now('%d %b %Y %H:%M') }}", input), "14 Nov 2023 22:13");
  EXPECT_THAT(render("{{ strftime_now('%9999999d') }}", input).status().message(),
              HasSubstr("too long"));
}

TEST(ChatTemplate, ContinuesTheFinalMessage) {
  ChatTemplateInput input;
  input.add_generation_prompt = false;
  input.continue_final_message = true;
  input.messages = chat({{"user", "say ab"}, {"assistant", "ab"}});
  EXPECT_EQ(*render(kPlain, input), "<user>say ab</>\n<assistant>ab");
  input.messages = chat({{"user", "x"}, {"assistant", "  ab \n"}});
  EXPECT_EQ(*render(kTrimming, input), "<user>x</><assistant>ab");
  input.messages = chat({{"user", "x"}, {"assistant", "ab \n"}});
  EXPECT_EQ(*render(kPlain, input), "<user>x</>\n<assistant>ab \n");
  input.messages = json::array{{{"role", "assistant"},
                                {"content",
                                 {{{"type", "text"}, {"text", "one"}},
                                  {{"type", "text"}, {"text", "two"}},
                                  {{"type", "image"}}}}}};
  EXPECT_EQ(*render("{% for p in messages[0].content %}[{{ p.text }}]{% endfor %}", input),
            "[one][two");
}

// What ends a message may hold the message's own text.
TEST(ChatTemplate, ContinuesTextsThatOccurBehindThemToo) {
  constexpr const char* kChatml =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
  ChatTemplateInput input;
  input.add_generation_prompt = false;
  input.continue_final_message = true;
  for (const char* text : {"<", "end", "|", "m", "", " ", "\n", "m\n", "<|im_end|>", "assistant",
                           "BessemerContinuesHere", "BessemerContinuesHere\n"}) {
    input.messages = chat({{"user", "Write HTML"}, {"assistant", text}});
    EXPECT_EQ(*render(kChatml, input),
              "<|im_start|>user\nWrite HTML<|im_end|>\n<|im_start|>assistant\n" + std::string(text))
        << text;
  }
}

// A tail that begins like the white space that was trimmed; a template that trims a part of it.
TEST(ChatTemplate, ContinuesWithTheWhiteSpaceThatTheTemplateLeaves) {
  ChatTemplateInput input;
  input.add_generation_prompt = false;
  input.continue_final_message = true;
  input.messages = chat({{"assistant", " ab \n"}});
  const auto last = [&](const std::string& text) {
    return *render(("[{{ messages[-1].content" + text + " }} \n</s>").c_str(), input);
  };
  EXPECT_EQ(last(""), "[ ab \n");
  EXPECT_EQ(last(" | trim"), "[ab");
  EXPECT_EQ(last(".rstrip('\\n')"), "[ ab ");
}

TEST(ChatTemplate, RefusesWhatCannotBeContinued) {
  ChatTemplateInput input;
  input.continue_final_message = true;
  input.messages = chat({{"assistant", "ab"}});
  EXPECT_THAT(render(kPlain, input).status().message(), HasSubstr("add_generation_prompt"));
  input.add_generation_prompt = false;
  EXPECT_THAT(render("{{ messages[0].content | upper }}", input).status().message(),
              HasSubstr("changes the text"));
  input.messages = json::array{{{"role", "assistant"}, {"content", nullptr}}};
  EXPECT_THAT(render(kPlain, input).status().message(), HasSubstr("no text to be continued"));
  input.messages = json::array();
  EXPECT_THAT(render(kPlain, input).status().message(), HasSubstr("no text to be continued"));
}

TEST(ChatTemplate, CompileErrorsNameThePlace) {
  EXPECT_EQ(ChatTemplate::compile("a\n{% if %}").status().message(),
            "line 2, column 7: expected an expression, got '%}'");
}

}  // namespace
}  // namespace bessemer
