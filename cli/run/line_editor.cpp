#include "cli/run/line_editor.h"

#include <array>
#include <clocale>
#include <cstdio>
#include <filesystem>
#include <utility>

#include <signal.h>

namespace bessemer {
namespace {

constexpr int kHistoryLines = 1000;
constexpr const char* kCtrlC = "\x03";

// What terminals send for keys that the editor does not know by itself.
constexpr std::array<std::pair<const char*, const char*>, 12> kKeys = {{
    {"^R", "em-inc-search-prev"},
    {"\\e[1~", "ed-move-to-beg"},
    {"\\e[7~", "ed-move-to-beg"},
    {"\\e[H", "ed-move-to-beg"},
    {"\\e[4~", "ed-move-to-end"},
    {"\\e[8~", "ed-move-to-end"},
    {"\\e[F", "ed-move-to-end"},
    {"\\e[3~", "ed-delete-next-char"},
    {"\\e[1;5C", "em-next-word"},
    {"\\e[1;5D", "ed-prev-word"},
    {"^C", "forget-line"},
    {"^Z", "suspend"},
}};

// The editor's own handler gives the terminal back before the stop, and takes it again after.
unsigned char suspend(EditLine*, int) {
  kill(0, SIGTSTP);
  return CC_NORM;
}

}  // namespace

LineEditor::LineEditor(std::string history_file)
    : history_file_(std::move(history_file)), history_(history_init()) {
  // The editor reads in the locale's characters; what is read and shown here is UTF-8.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  edit_ = el_init("bessemer", stdin, stdout, stderr);
  HistEvent event;
  history(history_, &event, H_SETSIZE, kHistoryLines);
  history(history_, &event, H_SETUNIQUE, 1);
  history(history_, &event, H_LOAD, history_file_.c_str());
  el_set(edit_, EL_CLIENTDATA, this);
  el_set(edit_, EL_PROMPT, &LineEditor::prompt_of);
  el_set(edit_, EL_HIST, history, history_);
  el_set(edit_, EL_SIGNAL, 1);  // SIGTERM and a stop leave the terminal as it was
  bind_keys();
}

LineEditor::~LineEditor() {
  el_end(edit_);
  history_end(history_);
}

void LineEditor::bind_keys() {
  el_set(edit_, EL_EDITOR, "emacs");
  // While a line is edited ctrl-C is a key like others, and no signal; so is ctrl-Z, then.
  el_set(edit_, EL_SETTY, "-d", "-isig", nullptr);
  el_set(edit_, EL_ADDFN, "suspend", "Suspend the program", &suspend);
  el_set(edit_, EL_ADDFN, "forget-line", "Forget the line", &LineEditor::forget_line);
  for (const auto& [key, function] : kKeys) el_set(edit_, EL_BIND, key, function, nullptr);
}

LineEditor& LineEditor::self(EditLine* edit) {
  void* data = nullptr;
  el_get(edit, EL_CLIENTDATA, &data);
  return *static_cast<LineEditor*>(data);
}

char* LineEditor::prompt_of(EditLine* edit) {
  return self(edit).prompt_.data();
}

unsigned char LineEditor::forget_line(EditLine* edit, int) {
  const LineInfo* line = el_line(edit);
  if (line->cursor != line->lastchar) {
    // To the end of the line first, so that nothing is written over; the screen follows between
    // two keys.
    el_cursor(edit, static_cast<int>(line->lastchar - line->cursor));
    el_push(edit, kCtrlC);
    return CC_CURSOR;
  }
  std::fputs("^C\n", stdout);
  self(edit).forgotten_ = true;
  return CC_NEWLINE;
}

LineEditor::Outcome LineEditor::read(const char* prompt, std::string& text) {
  prompt_ = prompt;
  forgotten_ = false;
  int count = 0;
  const char* line = el_gets(edit_, &count);
  if (forgotten_) return Outcome::forgotten;
  if (line == nullptr || count <= 0) return Outcome::end;
  text.assign(line, static_cast<size_t>(count));
  if (text.ends_with('\n')) text.pop_back();
  return Outcome::line;
}

void LineEditor::remember(const std::string& text) {
  HistEvent event;
  history(history_, &event, H_ENTER, text.c_str());
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(history_file_).parent_path(), ignored);
  history(history_, &event, H_SAVE, history_file_.c_str());
}

}  // namespace bessemer
