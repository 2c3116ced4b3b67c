// Lines from a terminal, with editing and a history that is kept in a file.
#pragma once
#include <memory>
#include <string>

#include <histedit.h>

namespace bessemer {

class LineEditor {
 public:
  enum class Outcome { line, forgotten, end };

  // Reads the history at once; a file that cannot be read is an empty history.
  explicit LineEditor(std::string history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // line: `text` has it, without its end. forgotten: ctrl-C. end: ctrl-D on an empty line, or the
  // terminal is gone.
  Outcome read(const char* prompt, std::string& text);
  // Puts `text` into the history, and the history into its file: a closed terminal loses nothing.
  void remember(const std::string& text);

 private:
  static LineEditor& self(EditLine* edit);
  static char* prompt_of(EditLine* edit);
  static unsigned char forget_line(EditLine* edit, int key);
  void bind_keys();

  const std::string history_file_;
  History* history_;
  EditLine* edit_;
  std::string prompt_;
  bool forgotten_ = false;
};

}  // namespace bessemer
